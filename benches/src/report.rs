//! Figures beside their goals, as a table or as JSON.

use crate::machine;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Which way a figure improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    value: f64,
    unit: &'static str,
    /// `None` where the figure only explains others.
    goal: Option<f64>,
    better: Better,
}

impl Figure {
    fn reached(&self) -> Option<bool> {
        self.goal.map(|goal| match self.better {
            Better::Lower => self.value <= goal,
            Better::Higher => self.value >= goal,
        })
    }
}

/// What a figure is, before it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<f64>,
    pub(crate) better: Better,
}

/// A figure that is better when lower, with its goal.
pub(crate) const fn lower(name: &'static str, unit: &'static str, goal: Option<f64>) -> Spec {
    Spec { name, unit, goal, better: Better::Lower }
}

/// A figure that is better when higher, with its goal.
pub(crate) const fn higher(name: &'static str, unit: &'static str, goal: Option<f64>) -> Spec {
    Spec { name, unit, goal, better: Better::Higher }
}

/// The figures of one run. A figure is either measured or skipped with a reason, never both.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    commit: String,
    machine: String,
    figures: BTreeMap<&'static str, Figure>,
    skipped: BTreeMap<&'static str, String>,
    /// What was measured on, beyond the machine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<&'static str, Vec<String>>,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            commit: machine::commit(),
            machine: machine::describe(),
            figures: BTreeMap::new(),
            skipped: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Adds a figure; a value that is missing or no number is skipped for `why_missing`.
    pub(crate) fn add(&mut self, spec: Spec, value: Option<f64>, why_missing: &str) {
        match value.filter(|value| value.is_finite()) {
            Some(value) => {
                let rounded = (value * 1000.0).round() / 1000.0;
                let Spec { name, unit, goal, better } = spec;
                self.figures.insert(name, Figure { value: rounded, unit, goal, better });
            }
            None => self.skip(spec, why_missing),
        }
    }

    /// Says why a figure is absent.
    pub(crate) fn skip(&mut self, spec: Spec, why: &str) {
        self.skipped.insert(spec.name, why.to_owned());
    }

    /// Says something about what was measured on.
    pub(crate) fn fact(&mut self, about: &'static str, what: String) {
        self.facts.entry(about).or_default().push(what);
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("{} at {} on {}\n\n", self.bench, self.commit, self.machine);
        for (about, facts) in &self.facts {
            for fact in facts {
                let _ = writeln!(out, "{about}: {fact}");
            }
        }
        let line = |out: &mut String, cells: [&str; 5]| {
            let [name, value, unit, goal, reached] = cells;
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name:<34} {value:>12} {unit:<10} {goal:>10}  {reached}");
        };
        line(&mut out, ["figure", "value", "unit", "goal", ""]);
        for (name, figure) in &self.figures {
            let bound = if figure.better == Better::Lower { "≤" } else { "≥" };
            let goal = figure.goal.map(|goal| format!("{bound} {goal}")).unwrap_or_default();
            let reached = figure.reached().map_or("", |reached| if reached { "reached" } else { "missed" });
            line(&mut out, [name, &format!("{:.3}", figure.value), figure.unit, &goal, reached]);
        }
        for (name, why) in &self.skipped {
            let _ = writeln!(out, "{name:<34} {:>12} {why}", "skipped:");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Spec = lower("age_ms", "ms", Some(24.0));
    const FPS: Spec = higher("fps", "1/s", Some(58.0));

    #[test]
    fn json_has_every_field_that_readers_rely_on() {
        let mut report = Report::new("latency");
        report.add(AGE, Some(12.34567), "");
        report.add(FPS, None, "no frame was shown");
        let json = serde_json::to_value(&report).unwrap();
        let age = serde_json::json!({"value": 12.346, "unit": "ms", "goal": 24.0, "better": "lower"});
        assert_eq!(json["figures"]["age_ms"], age);
        assert_eq!(json["skipped"]["fps"], "no frame was shown");
        assert_eq!(json["bench"], "latency");
        assert!(json["commit"].is_string() && json["machine"].is_string());
    }

    #[test]
    fn the_table_says_what_is_reached_missed_and_skipped() {
        let mut report = Report::new("latency");
        report.add(AGE, Some(30.0), "");
        report.add(FPS, Some(60.0), "");
        report.add(lower("ratio", "", Some(0.5)), Some(f64::NAN), "nothing to compare with");
        let table = report.table();
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("age_ms").ends_with("missed"));
        assert!(line("fps").ends_with("reached"));
        assert!(line("ratio").contains("nothing to compare with"));
    }
}
