//! A plan as the text of a policy file.
//!
//! One line for each route, permission and dimension: so a person can find, compare and edit them, and a
//! later import can tell what he has edited.

use std::fmt::Write as _;

use super::draft::Needs;
use super::plan::{Plan, Planned, PlannedRole};
use crate::words::Permission;

/// Longest description that is taken over, in characters: a line that can still be read.
const DESCRIPTION_CHARS_MAX: usize = 160;

/// The text of the policy file.
pub fn write(plan: &Plan) -> String {
    let mut text = String::with_capacity(plan.routes.len() * 100);
    head(&mut text, plan);
    line(&mut text, format_args!("upstream: {}", plan.upstream));
    section(&mut text, "dimensions", plan.dimensions.is_empty());
    for (name, description) in &plan.dimensions {
        line(
            &mut text,
            format_args!("  {}: {}", key(name.as_str()), said(description)),
        );
    }
    section(&mut text, "permissions", plan.permissions.is_empty());
    for (name, description) in &plan.permissions {
        line(&mut text, format_args!("  {name}: {}", said(description)));
    }
    section(&mut text, "roles", plan.roles.is_empty());
    for role in &plan.roles {
        self::role(&mut text, role);
    }
    section(&mut text, "routes", plan.routes.is_empty());
    for route in &plan.routes {
        self::route(&mut text, route);
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a string takes everything");
}

fn head(text: &mut String, plan: &Plan) {
    for origin in &plan.origins {
        line(text, format_args!("# Imported from {}.", comment(origin)));
    }
    line(
        text,
        format_args!(
            "# It is yours to edit: `portcullis routes import … --merge` keeps what you change. The comment\n\
             # behind a route is what the document calls it."
        ),
    );
    let review = plan.to_review();
    if review > 0 {
        line(
            text,
            format_args!(
                "#\n# {review} routes need `review_public`, because the document lets everybody in there. `check` refuses\n\
                 # them until you write `public`, `any_account`, or the permission that is needed."
            ),
        );
    }
    if !plan.dimensions.is_empty() {
        line(
            text,
            format_args!(
                "#\n# Routes without `within` are `unlimited`: only grants without a boundary open them."
            ),
        );
    }
    text.push('\n');
}

fn section(text: &mut String, name: &str, empty: bool) {
    if !empty {
        line(text, format_args!("\n{name}:"));
    }
}

fn role(text: &mut String, role: &PlannedRole) {
    line(text, format_args!("  {}:", key(role.name.as_str())));
    line(
        text,
        format_args!("    description: {}", said(&role.description)),
    );
    if let Some(include) = &role.include {
        line(text, format_args!("    include: [{include}]"));
    }
    line(text, format_args!("    permissions:"));
    for permission in &role.permissions {
        line(text, format_args!("      - {permission}"));
    }
}

fn route(text: &mut String, route: &Planned) {
    let mut value = needs(&route.needs);
    // Where no permission is asked for there is no boundary it could hold in.
    let bound = match route.needs {
        Needs::ReviewPublic | Needs::AnyAccount => &[][..],
        Needs::All(_) | Needs::Any(_) => route.within.as_slice(),
    };
    if !bound.is_empty() || !route.options.is_empty() || route.needs == Needs::ReviewPublic {
        value = format!("{{ needs: {value}");
        if !bound.is_empty() {
            let bound = bound.iter();
            let bound = bound.map(|(name, param)| format!("{name}: path.{param}"));
            let bound: Vec<_> = bound.collect();
            write!(value, ", within: {{ {} }}", bound.join(", "))
                .expect("a string takes everything");
        }
        for (option, said) in &route.options {
            write!(value, ", {option}: {said}").expect("a string takes everything");
        }
        value.push_str(" }");
    }
    write!(text, "  {}: {value}", key(&route.key())).expect("a string takes everything");
    if !route.ids.is_empty() {
        let ids: Vec<_> = route.ids.iter().map(|id| comment(id)).collect();
        write!(text, "  # {}", ids.join(", ")).expect("a string takes everything");
    }
    text.push('\n');
}

fn needs(needs: &Needs) -> String {
    let list = |permissions: &[Permission]| {
        let names: Vec<_> = permissions.iter().map(Permission::as_str).collect();
        names.join(", ")
    };
    match needs {
        Needs::ReviewPublic => "review_public".to_owned(),
        Needs::AnyAccount => "any_account".to_owned(),
        Needs::All(permissions) => match permissions.as_slice() {
            [one] => one.to_string(),
            more => format!("{{ all: [{}] }}", list(more)),
        },
        Needs::Any(permissions) => format!("{{ any: [{}] }}", list(permissions)),
    }
}

/// A key, quoted where it could be read as something else.
pub(super) fn key(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " {}/._-,:%~+=@!$&'()*;".contains(c);
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with([':', ' '])
        && !text.contains(": ");
    if safe { text.to_owned() } else { quote(text) }
}

/// A description: one line, quoted where it could be read as something else.
fn said(description: &str) -> String {
    let line = comment(description);
    let short: String = line.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let short = if short.len() < line.len() {
        format!("{}…", short.trim_end())
    } else {
        short
    };
    let plain = |c: char| c.is_alphanumeric() || " ._-,;/()'…".contains(c);
    if short.starts_with(char::is_alphabetic) && short.chars().all(plain) {
        return short;
    }
    quote(&short)
}

/// Text that can stand in a comment: on one line, with nothing an editor would not show.
fn comment(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let hidden = |c: char| {
        ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
            || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    line.replace(hidden, "")
}

/// Between double quotes, as YAML and JSON both read it.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
