//! The table: what each row requires, and what was measured.

use std::cell::Cell;
use std::fmt::{self, Display};

/// Prints rows as they come, and remembers what was missed.
#[derive(Debug)]
pub struct Report {
    required: Cell<u32>,
    missed: Cell<u32>,
}

/// One situation, with what is required of it.
#[derive(Debug)]
pub struct Row {
    name: String,
    checks: Vec<Check>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Check {
    required: String,
    measured: String,
    met: bool,
}

impl Report {
    /// Prints the head of the table.
    pub fn start(title: &str) -> Self {
        println!("{title}");
        println!("{:50}  {:40}  measured", "scenario", "required");
        println!("{:-<50}  {:-<40}  {:-<40}", "", "", "");
        Self {
            required: Cell::new(0),
            missed: Cell::new(0),
        }
    }

    /// Prints one row.
    pub fn tell(&self, row: &Row) {
        println!("{row}");
        let missed = row.checks.iter().filter(|check| !check.met).count();
        self.count(row.checks.len(), missed);
    }

    /// Tells that a scenario could not be measured to its end.
    pub fn broke(&self, why: &str) {
        println!("{why}  MISSED");
        self.count(1, 1);
    }

    /// Prints the sum. Returns whether everything was met.
    pub fn end(&self) -> bool {
        let (required, missed) = (self.required.get(), self.missed.get());
        println!("{missed} of {required} requirements missed");
        missed == 0
    }

    fn count(&self, required: usize, missed: usize) {
        self.required.set(self.required.get() + required as u32);
        self.missed.set(self.missed.get() + missed as u32);
    }
}

impl Row {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            checks: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a requirement, what was measured, and whether that is enough.
    pub fn require(
        mut self,
        required: impl Into<String>,
        measured: impl Into<String>,
        met: bool,
    ) -> Self {
        self.checks.push(Check {
            required: required.into(),
            measured: measured.into(),
            met,
        });
        self
    }

    /// Adds what helps to understand the figures.
    pub fn note(mut self, what: &str, figures: impl Display) -> Self {
        self.notes.push(format!("{what}: {figures}"));
        self
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = self.name.as_str();
        for check in &self.checks {
            let missed = if check.met { "" } else { "  MISSED" };
            let (required, measured) = (&check.required, &check.measured);
            writeln!(f, "{name:50}  {required:40}  {measured}{missed}")?;
            name = "";
        }
        let notes = self.notes.iter().map(|note| format!("    {note}"));
        f.write_str(&notes.collect::<Vec<_>>().join("\n"))
    }
}
