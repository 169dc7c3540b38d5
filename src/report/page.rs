//! Data → HTML: one template, the page's style and script and the plotting library put into it.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::content::Report;
use crate::{Error, Result};

const TEMPLATE: &str = include_str!("assets/report.html");
const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");
const D3: &str = include_str!("assets/d3.min.js");
const PLOT: &str = include_str!("assets/plot.umd.min.js");
const LICENSES: &str = include_str!("assets/LICENSES.txt");

/// The whole page.
pub fn render(report: &Report) -> Result<String> {
    let mistake = |e: &dyn std::fmt::Display| Error::setting(format!("the report cannot be made: {e}"), "this is a mistake in headstart");
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("report.html", TEMPLATE).map_err(|e| mistake(&e))?;
    let template = environment.get_template("report.html").map_err(|e| mistake(&e))?;
    let data = serde_json::to_string(report).map_err(|e| mistake(&e))?;
    let verbatim = |text: &str| Value::from_safe_string(text.to_owned());
    let page = context! {
        report => Serde(report),
        // Inside a script element only `<` could end it.
        data => verbatim(&data.replace('<', "\\u003c")),
        style => verbatim(STYLE),
        script => verbatim(SCRIPT),
        d3 => verbatim(D3),
        plot => verbatim(PLOT),
        licenses => verbatim(&LICENSES.replace("--", "- -")),
        version => env!("CARGO_PKG_VERSION"),
    };
    template.render(page).map_err(|e| mistake(&e))
}
