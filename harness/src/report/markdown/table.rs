//! A table that reads well as it stands in the file, too.

use std::fmt;

/// Cells are padded to at most so many characters; a longer one sticks out.
const PADDED: usize = 56;

/// Cells must be escaped already.
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&h| h.to_owned()).collect(), rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.push(cells.into());
    }

    /// A row that is as long as the head.
    pub(super) fn push(&mut self, mut cells: Vec<String>) {
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }

    /// The table, or nothing if it has no row.
    pub(super) fn finish(self) -> Option<String> {
        (!self.rows.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for Table {
    /// Columns without any content are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = (0..self.head.len()).filter(|&c| self.rows.iter().any(|r| !r[c].is_empty())).collect();
        let width = |c: usize| {
            let cells = self.rows.iter().map(|r| &r[c]).chain([&self.head[c]]);
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            // Nothing stands behind the last column that would have to be aligned.
            if widest > PADDED && shown.last() == Some(&c) { 0 } else { widest.min(PADDED) }
        };
        let widths: Vec<_> = shown.iter().map(|&c| width(c)).collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (&c, &w) in shown.iter().zip(&widths) {
                write!(f, "| {:w$} ", row[c])?;
            }
            f.write_str("|")
        };
        line(f, &self.head)?;
        f.write_str("\n")?;
        for w in &widths {
            write!(f, "|{}", "-".repeat((*w).max(1) + 2))?;
        }
        f.write_str("|")?;
        for row in &self.rows {
            f.write_str("\n")?;
            line(f, row)?;
        }
        Ok(())
    }
}
