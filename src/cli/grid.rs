//! Cells in rows and columns, as wide as they are; where that is wider than a terminal, what is
//! longest is cut.
//!
//! Not here: what a cell says, which is `table`'s business.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::styled;

/// Columns of a terminal between two cells.
const GAP: usize = 2;
/// A column is cut no shorter than this, in columns of a terminal: `59 minutes ago` is whole.
const COLUMN_LEAST: usize = 14;
/// A column of names is cut no shorter than this: an id that is cut leads nowhere, and none is longer.
const NAME_LEAST: usize = 40;
/// What stands where something was cut.
const CUT: char = '…';

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// Its text; several lines if it has line breaks.
    pub(super) text: String,
    /// How it is drawn on a terminal.
    pub(super) style: Option<Style>,
    /// Whether it stands at the right of its column.
    pub(super) right: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

/// Rows of cells.
#[derive(Debug, Default)]
pub(super) struct Grid {
    rows: Vec<Vec<Cell>>,
    /// The columns of names.
    names: Vec<usize>,
}

impl Grid {
    /// A grid that has names in these columns, and cuts them as little as it can.
    pub(super) fn sparing(names: Vec<usize>) -> Self {
        Self {
            rows: Vec::new(),
            names,
        }
    }

    pub(super) fn add(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Leaves out columns until the others fit into `width` columns of a terminal: first those in which
    /// no row says anything, then from the end; never one of names. Returns the headings of those that
    /// are gone.
    pub(super) fn narrow(&mut self, width: usize) -> Vec<String> {
        let mut gone = Vec::new();
        loop {
            let widths = self.widths();
            let least = |(place, width): (usize, &usize)| (*width).min(self.least(place));
            let gaps = GAP * widths.len().saturating_sub(1);
            let needed = widths.iter().enumerate().map(least).sum::<usize>() + gaps;
            let spare = (0..widths.len()).rev();
            let mut spare = spare.filter(|place| !self.names.contains(place));
            let last = spare.clone().next();
            let Some(place) = spare.find(|place| self.says_nothing(*place)).or(last) else {
                return gone;
            };
            if needed <= width {
                return gone;
            }
            let heading = self.rows.first().and_then(|row| row.get(place));
            gone.extend(heading.map(|cell| cell.text.to_lowercase()));
            self.leave_out(place);
        }
    }

    /// Whether nothing stands in a column, or what stands for nothing.
    fn says_nothing(&self, place: usize) -> bool {
        let cells = self.rows.iter().skip(1).filter_map(|row| row.get(place));
        let mut texts = cells.map(|cell| cell.text.as_str());
        texts.all(|text| matches!(text, "" | "-" | "anywhere"))
    }

    fn leave_out(&mut self, gone: usize) {
        for row in &mut self.rows {
            if gone < row.len() {
                row.remove(gone);
            }
        }
        for place in self.names.iter_mut().filter(|place| **place > gone) {
            *place -= 1;
        }
    }

    /// How short a column may be cut.
    fn least(&self, place: usize) -> usize {
        match self.names.contains(&place) {
            true => NAME_LEAST,
            false => COLUMN_LEAST,
        }
    }

    /// The lines, no longer than `width` columns of a terminal if that is said and can be had.
    pub(super) fn draw(&self, width: Option<usize>) -> String {
        let mut widths = self.widths();
        if let Some(width) = width {
            self.fit(&mut widths, width);
        }
        let mut text = String::new();
        for row in &self.rows {
            let height = row.iter().map(|cell| cell.text.lines().count()).max();
            for line in 0..height.unwrap_or_default().max(1) {
                let drawn = row.iter().zip(&widths).map(|(cell, width)| {
                    let part = cell.text.lines().nth(line).unwrap_or_default();
                    (cell, cut(part, *width), *width)
                });
                draw_line(drawn.collect(), &mut text);
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                let longest = cell.text.lines().map(|line| line.width()).max();
                *width = (*width).max(longest.unwrap_or_default());
            }
        }
        widths
    }

    /// Takes from the widest column that may be cut until all fit, or none can give more. Ids, which
    /// are short, so stay whole, and long paths do not push everything else aside.
    fn fit(&self, widths: &mut [usize], width: usize) {
        let gaps = GAP * widths.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        while over > 0 {
            let mut sizes: Vec<_> = widths.iter().copied().enumerate().collect();
            sizes.retain(|(place, size)| *size > self.least(*place));
            sizes.sort_unstable_by_key(|(_, size)| std::cmp::Reverse(*size));
            let Some((place, widest)) = sizes.first().copied() else {
                return;
            };
            let next = sizes.get(1).map_or(0, |(_, size)| *size);
            // Down to the next widest, and then one each, so that equals stay equals.
            let taken = (widest - next.max(self.least(place))).clamp(1, over);
            if let Some(size) = widths.get_mut(place) {
                *size -= taken;
            }
            over -= taken;
        }
    }
}

fn draw_line(cells: Vec<(&Cell, String, usize)>, text: &mut String) {
    let last = cells.iter().rposition(|(_, part, _)| !part.is_empty());
    let cells = cells.into_iter().enumerate();
    for (place, (cell, part, width)) in cells.take(last.map_or(0, |last| last + 1)) {
        if place > 0 {
            text.push_str(&" ".repeat(GAP));
        }
        let rest = " ".repeat(width.saturating_sub(part.width()));
        let part = match cell.style {
            Some(style) => styled(style, part),
            None => part,
        };
        match (cell.right, Some(place) == last) {
            (true, _) => text.push_str(&(rest + &part)),
            (false, true) => text.push_str(&part),
            (false, false) => text.push_str(&(part + &rest)),
        }
    }
    text.push('\n');
}

/// `text`, or what of it fits into `width` columns with a mark that something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 0;
    for character in text.chars() {
        taken += character.width().unwrap_or_default();
        if taken >= width {
            break;
        }
        kept.push(character);
    }
    kept.push(CUT);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(whole: &[usize], rows: &[&[&str]]) -> Grid {
        let mut grid = Grid::sparing(whole.to_vec());
        for row in rows {
            grid.add(row.iter().map(|text| Cell::from((*text).to_owned())));
        }
        grid
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let grid = grid(
            &[],
            &[&["NAME", "WHAT"], &["ci", "builds"], &["nightly", ""]],
        );
        insta::assert_snapshot!(grid.draw(None), @r"
        NAME     WHAT
        ci       builds
        nightly
        ");
    }

    #[test]
    fn what_is_too_wide_is_cut_where_it_is_longest_and_names_are_not() {
        let (name, long) = ("a".repeat(30), "b".repeat(50));
        let grid = grid(&[0], &[&[&name, &long, "c"], &["x", "y", "z"]]);
        for width in [70, 50] {
            let drawn = grid.draw(Some(width));
            let longest = drawn.lines().map(|line| line.width()).max();
            assert_eq!(longest, Some(width), "{drawn}");
            assert!(drawn.contains(&name) && drawn.contains('…'), "{drawn}");
        }
        // Less than that says nothing; the terminal folds it.
        assert!(grid.draw(Some(10)).lines().next().unwrap().width() > 10);
        assert!(!grid.draw(None).contains('…'));
    }

    #[test]
    fn a_long_path_gives_way_before_short_columns_do() {
        let (path, needs) = ("p".repeat(120), "n".repeat(20));
        let drawn = grid(&[0], &[&[&path, &needs]]).draw(Some(80));
        assert_eq!(drawn, format!("{}…  {needs}\n", "p".repeat(57)));
    }

    #[test]
    fn several_that_are_too_wide_share_the_cut() {
        let (one, other) = ("a".repeat(40), "b".repeat(60));
        let drawn = grid(&[], &[&[&one, &other]]).draw(Some(62));
        assert_eq!(drawn, format!("{}…  {}…\n", "a".repeat(29), "b".repeat(29)));
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_end_and_the_empty_first() {
        let id = "i".repeat(32);
        let long = "x".repeat(30);
        let rows: &[&[&str]] = &[
            &["ID", "ONLY", "STATE", "EXPIRES", "NOTE"],
            &[&id, "-", "active", &long, &long],
        ];
        for (width, gone) in [
            (120, &[][..]),
            (72, &["only"]),
            (60, &["only", "note"]),
            (40, &["only", "note", "expires"]),
            (32, &["only", "note", "expires", "state"]),
        ] {
            let mut grid = grid(&[0], rows);
            assert_eq!(grid.narrow(width), gone, "{width}");
            let drawn = grid.draw(Some(width));
            let longest = drawn.lines().map(|line| line.width()).max();
            assert!(longest <= Some(width), "{width}: {drawn}");
            assert!(drawn.contains(&id), "{drawn}");
        }
    }

    #[test]
    fn numbers_stand_at_the_right_and_lines_below_each_other() {
        let mut grid = Grid::default();
        for count in ["7", "1200"] {
            let right = Cell {
                right: true,
                ..Cell::from(count.to_owned())
            };
            grid.add([right, Cell::from("one\ntwo".to_owned())]);
        }
        insta::assert_snapshot!(grid.draw(None), @r"
           7  one
              two
        1200  one
              two
        ");
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
    }
}
