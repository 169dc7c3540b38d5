//! Data → HTML: a template, the style, a script and the plotting library put into one page.

use std::borrow::Cow;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context, escape_formatter};
use serde::Serialize;

use super::content::Report;
use crate::text::visible_lines;
use crate::{Error, Result};

const STYLE: &str = include_str!("assets/report.css");
/// Functions that the scripts of all pages share.
const COMMON: [&str; 3] = [include_str!("assets/page.js"), include_str!("assets/table.js"), include_str!("assets/chart.js")];
/// The sections of a sweep's page, in their order; the first holds what they share.
const SECTIONS: [&str; 10] = [
    include_str!("assets/sweep/shared.js"),
    include_str!("assets/sweep/leaderboard.js"),
    include_str!("assets/sweep/curves.js"),
    include_str!("assets/sweep/settings.js"),
    include_str!("assets/sweep/parallel.js"),
    include_str!("assets/sweep/confusion.js"),
    include_str!("assets/sweep/classes.js"),
    include_str!("assets/sweep/answers.js"),
    include_str!("assets/sweep/calibration.js"),
    include_str!("assets/sweep/extraction.js"),
];
/// Draws the charts of a page, once all of them are known.
const START: &str = "page.start();";
const D3: &str = include_str!("assets/d3.min.js");
const PLOT: &str = include_str!("assets/plot.umd.min.js");
const LICENSES: &str = include_str!("assets/LICENSES.txt");
/// Parts that the templates of all pages share.
const SHARED: [(&str, &str); 2] = [("head.html", include_str!("assets/head.html")), ("foot.html", include_str!("assets/foot.html"))];

/// The page of a sweep.
pub(super) fn render(report: &Report) -> Result<String> {
    page(include_str!("assets/sweep.html"), &SECTIONS, report)
}

/// The page of a speed-up.
pub(crate) fn render_speedup(report: &impl Serialize) -> Result<String> {
    page(include_str!("assets/speedup.html"), &[include_str!("assets/speedup.js")], report)
}

fn page(template: &str, scripts: &[&str], report: &impl Serialize) -> Result<String> {
    let mistake = |e: &dyn std::fmt::Display| Error::internal(format!("the report cannot be made: {e}"));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, state, value| match value.as_str().filter(|_| !value.is_safe()).map(visible_lines) {
        Some(Cow::Owned(shown)) => escape_formatter(out, state, &shown.into()),
        _ => escape_formatter(out, state, value),
    });
    for (name, text) in SHARED.into_iter().chain([("page.html", template)]) {
        environment.add_template(name, text).map_err(|e| mistake(&e))?;
    }
    let template = environment.get_template("page.html").map_err(|e| mistake(&e))?;
    let mut data = serde_json::to_string(report).and_then(|text| serde_json::from_str(&text)).map_err(|e| mistake(&e))?;
    make_visible(&mut data);
    let data = data.to_string();
    let verbatim = |text: &str| Value::from_safe_string(text.to_owned());
    let page = context! {
        report => Serde(report),
        // Inside a script element only `<` could end it.
        data => verbatim(&data.replace('<', "\\u003c")),
        style => verbatim(STYLE),
        scripts => verbatim(&[&COMMON[..], scripts, &[START]].concat().join("\n")),
        d3 => verbatim(D3),
        plot => verbatim(PLOT),
        licenses => verbatim(&LICENSES.replace("--", "- -")),
        version => env!("CARGO_PKG_VERSION"),
    };
    template.render(page).map_err(|e| mistake(&e))
}

/// Makes control and direction characters in the names of classes and photos visible.
fn make_visible(data: &mut serde_json::Value) {
    match data {
        serde_json::Value::String(text) => {
            if let Cow::Owned(shown) = visible_lines(text) {
                *text = shown;
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(make_visible),
        serde_json::Value::Object(entries) => entries.values_mut().for_each(make_visible),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_turn_the_page_round() {
        let report = serde_json::json!({ "class": "a\u{202e}<b>", "lines": ["one\ntwo\u{1b}"] });
        let page = page("{{ report.class }} {{ data }}", &[], &report).unwrap();
        assert_eq!(page, r#"a\u{202e}&lt;b&gt; {"class":"a\\u{202e}\u003cb>","lines":["one\ntwo\\u{1b}"]}"#);
    }
}
