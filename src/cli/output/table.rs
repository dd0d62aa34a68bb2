//! Tables: aligned columns, two blanks apart, that a person reads and `awk` splits.

use std::fmt;

/// Gap between columns.
const GAP: usize = 2;
/// Codes of the terminal that [`Tone::paint`] writes, and no others.
const CODES: [&str; 5] = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// How good a cell's news is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// No news.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Look at it.
    Warn,
    /// Something is wrong.
    Bad,
    /// Beside the point.
    Dim,
}

impl Tone {
    /// The text in the tone's colour, when colours are wanted.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> String {
        let [reset, dim, red, green, yellow] = CODES;
        let code = match self {
            Self::Dim => dim,
            Self::Bad => red,
            Self::Good => green,
            Self::Warn => yellow,
            Self::Plain => return text.to_owned(),
        };
        if colour { format!("{code}{text}{reset}") } else { text.to_owned() }
    }

    /// One of our own codes at the start of `text`.
    pub(super) fn code_at(text: &str) -> Option<&'static str> {
        CODES.into_iter().find(|code| text.starts_with(code))
    }
}

/// Side to which a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One cell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    #[must_use]
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Rows under column heads. A column that is empty in every row is left out.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
    colour: bool,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)], colour: bool) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), colour }
    }

    /// Adds a row, one cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The rows alone.
    #[must_use]
    pub fn without_heads(&self) -> String {
        let text = self.to_string();
        text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
    }
}

/// Columns a text takes on a terminal.
fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads: Vec<Cell> =
            self.columns.iter().map(|(head, _)| Cell::new(*head, Tone::Dim)).collect();
        let widths: Vec<Option<usize>> = (0..self.columns.len())
            .map(|at| {
                let widest =
                    self.rows.iter().filter_map(|row| row.get(at)).map(|c| width(&c.text)).max()?;
                let head = heads.get(at).map_or(0, |head| width(&head.text));
                (widest > 0).then_some(widest.max(head))
            })
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            let mut owed = 0;
            for ((cell, (_, align)), wide) in row.iter().zip(&self.columns).zip(&widths) {
                let Some(wide) = wide else { continue };
                let padding = wide - width(&cell.text).min(*wide);
                let (before, behind) = match align {
                    Align::Left => (0, padding),
                    Align::Right => (padding, 0),
                };
                line.extend(std::iter::repeat_n(' ', owed + before));
                line.push_str(&cell.tone.paint(&cell.text, self.colour && !cell.text.is_empty()));
                owed = behind + GAP;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(colour: bool) -> Table {
        let columns = [("NAME", Align::Left), ("NOTE", Align::Left), ("N", Align::Right)];
        let mut table = Table::new(&columns, colour);
        table.row(["a".into(), Cell::default(), "5".into()]);
        table.row(["日本".into(), Cell::default(), Cell::new("1,234", Tone::Bad)]);
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        assert_eq!(table(false).to_string(), "NAME      N\na         5\n日本  1,234\n");
    }

    #[test]
    fn colours_change_no_column() {
        let painted = table(true).to_string();
        assert!(painted.contains("\u{1b}[31m1,234\u{1b}[0m"), "{painted:?}");
        let plain = CODES.iter().fold(painted, |text, code| text.replace(code, ""));
        assert_eq!(plain, table(false).to_string());
    }
}
