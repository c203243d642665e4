//! `portcullis routes matrix`: who may do what, all of it, as a table, as CSV or as JSON.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::output::Format;
use super::table::{self, View};
use super::transport::{MatrixBy, Operation};
use super::{Context, Exit, Failure};
use crate::words::AccountName;

const VIEW: View = View {
    plural: "accounts",
    name: "account",
    columns: &[],
};

/// What to show of it.
#[derive(Args, Clone, Debug)]
pub(super) struct Matrix {
    /// What the columns are
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Only this account; repeat it for more
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<AccountName>,
    /// Print comma-separated values (RFC 4180) that no spreadsheet takes for formulas
    #[arg(long)]
    csv: bool,
    /// Look at the accounts of this policy folder, and ask no server
    #[arg(long, value_name = "FOLDER")]
    policies: Option<PathBuf>,
}

/// What the columns are.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum By {
    /// Permissions: where any grant of the account gives them
    #[default]
    Permission,
    /// Routes: where the account may call them
    Route,
}

impl From<By> for MatrixBy {
    fn from(by: By) -> Self {
        match by {
            By::Permission => Self::Permission,
            By::Route => Self::Route,
        }
    }
}

/// Prints it.
pub(super) fn run(asked: Matrix, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let operation = Operation::RoutesMatrix {
        by: asked.by.into(),
        accounts: asked.accounts,
    };
    let answer = context.ask_of(asked.policies.as_deref(), operation)?;
    let grid = || rows(&answer);
    match (asked.csv, context.output.format()) {
        (true, _) => context.output.data(csv(&grid()))?,
        (false, Format::Table) => show(&grid(), asked.by, context)?,
        (false, Format::Jsonl | Format::Name) => {
            let rows = answer.get("rows").unwrap_or(&Value::Null);
            context.output.answer(rows, &VIEW)?;
        }
        (false, Format::Json | Format::Sarif | Format::Yaml) => {
            context.output.answer(&answer, &VIEW)?;
        }
    }
    Ok(Exit::Ok)
}

/// Prints it for people, in the first form that a terminal is wide enough for: as it is, turned by a
/// corner, or line by line. What is no terminal gets it as it is.
fn show(rows: &[Vec<String>], by: By, context: &mut Context<'_>) -> Result<(), Failure> {
    let [headings, accounts @ ..] = rows else {
        return Ok(());
    };
    if accounts.is_empty() {
        return context.output.remark(
            "there are no accounts: `portcullis accounts create NAME` makes one, or `accounts:` in a policy file",
        );
    }
    let fits = |rows: &[Vec<String>], width| table::width(rows) <= width;
    let Some(width) = context.output.width().filter(|width| !fits(rows, *width)) else {
        return context.output.data(table::grid(rows, None));
    };
    let turned = turned(rows);
    if fits(&turned, width) {
        return context.output.data(table::grid(&turned, None));
    }
    context
        .output
        .data(table::grid(&listed(headings, accounts, by), Some(width)))?;
    context.output.remark(
        "the table is wider than this terminal, so what is held stands line by line; `--csv` and `-o json` have the table",
    )
}

/// Columns as lines.
fn turned(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let width = rows.first().map_or(0, Vec::len);
    let column = |number| rows.iter().filter_map(move |row| row.get(number).cloned());
    let mut turned: Vec<Vec<String>> = (0..width).map(|number| column(number).collect()).collect();
    if let Some(corner) = turned.first_mut().and_then(|row| row.first_mut()) {
        // Names of accounts stand above, and each is seen to be one.
        corner.clear();
    }
    turned
}

/// A line for each cell that says something, and one for each account without any.
fn listed(headings: &[String], accounts: &[Vec<String>], by: By) -> Vec<Vec<String>> {
    let titles = match by {
        By::Permission => ["account", "where", "permission"],
        By::Route => ["account", "where", "route"],
    };
    let mut lines = vec![titles.map(str::to_owned).to_vec()];
    for row in accounts {
        let name = row.first().cloned().unwrap_or_default();
        let cells = headings.iter().zip(row).skip(1);
        let said = cells.filter(|(_, cell)| !cell.is_empty());
        let before = lines.len();
        lines.extend(said.map(|(title, cell)| vec![name.clone(), cell.clone(), title.clone()]));
        if lines.len() == before {
            lines.push(vec![name, "-".to_owned(), "-".to_owned()]);
        }
    }
    lines
}

/// A line of headings, and one for each account.
fn rows(answer: &Value) -> Vec<Vec<String>> {
    let list = |field: &str| {
        answer
            .get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let columns: Vec<_> = list("columns").filter_map(Value::as_str).collect();
    let headings = ["account"]
        .iter()
        .chain(&columns)
        .map(|&name| name.to_owned());
    let row = |row: &Value| -> Vec<String> {
        let name = row
            .get("account")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let enabled = row.get("enabled").and_then(Value::as_bool) != Some(false);
        let name = if enabled {
            name.to_owned()
        } else {
            format!("{name} (disabled)")
        };
        let cell = |column: &&str| {
            let cell = row.get("cells").and_then(|cells| cells.get(*column));
            cell.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        std::iter::once(name)
            .chain(columns.iter().map(cell))
            .collect()
    };
    std::iter::once(headings.collect())
        .chain(list("rows").map(row))
        .collect()
}

/// Comma-separated values as RFC 4180 has them. What a spreadsheet would take for a formula is made
/// text by an apostrophe: names and values are what somebody chose.
fn csv(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let safe = if formula {
            format!("'{text}")
        } else {
            text.clone()
        };
        match safe.contains([',', '"', '\r', '\n']) {
            true => format!("\"{}\"", safe.replace('"', "\"\"")),
            false => safe,
        }
    };
    let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n";
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spreadsheet_reads_text_and_no_formula() {
        let rows = [
            ["a", "b,c", "d\"e"],
            ["=1+1", "-2", "@x"],
            ["", "a\nb", "x=1"],
        ];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            csv(&rows),
            "a,\"b,c\",\"d\"\"e\"\r\n'=1+1,'-2,'@x\r\n,\"a\nb\",x=1\r\n"
        );
    }

    #[test]
    fn a_table_that_does_not_fit_is_turned_or_told_line_by_line() {
        let text = |rows: &[[&str; 3]]| -> Vec<Vec<String>> {
            let rows = rows.iter().map(|row| row.map(str::to_owned).to_vec());
            rows.collect()
        };
        let rows = text(&[
            ["account", "a:view", "a:edit"],
            ["ci", "", "acme"],
            ["old", "", ""],
        ]);
        assert_eq!(
            turned(&rows),
            text(&[
                ["", "ci", "old"],
                ["a:view", "", ""],
                ["a:edit", "acme", ""]
            ])
        );
        assert_eq!(
            listed(&rows[0], &rows[1..], By::Permission),
            text(&[
                ["account", "where", "permission"],
                ["ci", "acme", "a:edit"],
                ["old", "-", "-"],
            ])
        );
        let drawn = table::grid(&rows, None);
        let widest = drawn.lines().skip(1).map(|line| line.chars().count()).max();
        assert_eq!(widest, Some("ci               acme".len()));
        assert_eq!(table::width(&rows), "account  a:view  a:edit".len());
    }

    #[test]
    fn every_account_has_a_line_and_every_column_a_cell() {
        let answer = json!({
            "columns": ["a:view", "a:edit"],
            "rows": [
                {"account": "ci", "enabled": true, "cells": {"a:edit": "tenant acme"}},
                {"account": "old", "enabled": false, "cells": {}},
            ],
        });
        let expected = [
            ["account", "a:view", "a:edit"],
            ["ci", "", "tenant acme"],
            ["old (disabled)", "", ""],
        ];
        assert_eq!(
            rows(&answer),
            expected.map(|row| row.map(str::to_owned).to_vec())
        );
    }
}
