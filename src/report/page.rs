//! Data → HTML: a template, the style, a script and the plotting library put into one page.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::content::Report;
use crate::{Error, Result};

const STYLE: &str = include_str!("assets/report.css");
/// What the scripts of all pages share.
const COMMON: &str = include_str!("assets/page.js");
const D3: &str = include_str!("assets/d3.min.js");
const PLOT: &str = include_str!("assets/plot.umd.min.js");
const LICENSES: &str = include_str!("assets/LICENSES.txt");
/// What the templates of all pages share.
const SHARED: [(&str, &str); 2] = [("head.html", include_str!("assets/head.html")), ("foot.html", include_str!("assets/foot.html"))];

/// The page of a sweep.
pub fn render(report: &Report) -> Result<String> {
    page(include_str!("assets/report.html"), include_str!("assets/report.js"), report)
}

/// The page of a speed-up.
pub fn render_speedup(report: &impl Serialize) -> Result<String> {
    page(include_str!("assets/speedup.html"), include_str!("assets/speedup.js"), report)
}

fn page(template: &str, script: &str, report: &impl Serialize) -> Result<String> {
    let mistake = |e: &dyn std::fmt::Display| Error::setting(format!("the report cannot be made: {e}"), "this is a mistake in headstart");
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in SHARED.into_iter().chain([("page.html", template)]) {
        environment.add_template(name, text).map_err(|e| mistake(&e))?;
    }
    let template = environment.get_template("page.html").map_err(|e| mistake(&e))?;
    let data = serde_json::to_string(report).map_err(|e| mistake(&e))?;
    let verbatim = |text: &str| Value::from_safe_string(text.to_owned());
    let page = context! {
        report => Serde(report),
        // Inside a script element only `<` could end it.
        data => verbatim(&data.replace('<', "\\u003c")),
        style => verbatim(STYLE),
        common => verbatim(COMMON),
        script => verbatim(script),
        d3 => verbatim(D3),
        plot => verbatim(PLOT),
        licenses => verbatim(&LICENSES.replace("--", "- -")),
        version => env!("CARGO_PKG_VERSION"),
    };
    template.render(page).map_err(|e| mistake(&e))
}
