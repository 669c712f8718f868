//! `codes`: the table of error codes for people, programs and the README.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::names;
use crate::print;
use crate::upstream::error_code::{Evidence, Known, PasswordDoubt, Retry, TABLE};

/// Explains the error codes of the REST API: all of them, or those that are named.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Exit status: 0, or 1 when a code is not known.")]
pub struct Codes {
    /// Codes to explain, such as MMC.111072065; the prefix may be left out
    #[arg(value_name = "CODE")]
    codes: Vec<String>,

    /// Print a JSON array
    #[arg(long, conflicts_with = "markdown")]
    json: bool,

    /// Print the table as the README shows it
    #[arg(long)]
    markdown: bool,
}

/// Prints what is asked for. Returns whether every code is known.
pub fn print(arguments: &Codes) -> bool {
    let mut rows = Vec::new();
    let mut all_known = true;
    for code in &arguments.codes {
        let found: Vec<_> = TABLE.iter().filter(|row| row.is_called(code)).collect();
        if found.is_empty() {
            print::error_line(&format!("{code}: not known; the HTTP status decides"));
            all_known = false;
        }
        rows.extend(found);
    }
    if arguments.codes.is_empty() {
        rows.extend(TABLE);
    }
    let page = match (arguments.json, arguments.markdown) {
        (true, _) => json(&rows),
        (_, true) => markdown(&rows),
        _ => text(&rows),
    };
    print::line(page.trim_end());
    all_known
}

fn text(rows: &[&Known]) -> String {
    let mut page = String::new();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{}  {}", heading(row), row.symbol);
        let _ = writeln!(page, "  {}.", row.explanation);
        let _ = writeln!(
            page,
            "  {}, outcome {}, retried: {}, {}",
            names::code(row.grpc),
            outcome(row),
            retried(row.retry),
            evidence(row.evidence),
        );
        if let Some(token) = of_token(row) {
            let _ = writeln!(
                page,
                "  In answer to a change with a token that was obtained for a password: the {token}."
            );
        }
        if let Some(password) = of_password(row.password) {
            let _ = writeln!(
                page,
                "  In answer to the request for a token: the {password}."
            );
        }
    }
    page
}

fn json(rows: &[&Known]) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "code": row.code,
                "http_status": row.status,
                "symbol": row.symbol,
                "explanation": row.explanation,
                "grpc_code": names::code(row.grpc),
                "outcome": row.outcome.to_string(),
                "outcome_with_several_settings": row.outcome_of(2).to_string(),
                "retried": retried(row.retry),
                "evidence": evidence(row.evidence),
                "rejects_token": row.rejects_token,
                "wrong_password": wrong_password(row.password),
            })
        })
        .collect();
    format!("{:#}\n", Value::from(rows))
}

/// The table of the README.
pub fn markdown(rows: &[&Known]) -> String {
    let mut page =
        "| code | reason | gRPC code | outcome | retried | credential | explanation |\n".to_owned();
    page.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let _ = writeln!(
            page,
            "| `{}` | `{}` | `{}` | {} | {} | {} | {} |",
            heading(row),
            row.symbol,
            names::code(row.grpc),
            outcome(row),
            retried(row.retry),
            credential(row).unwrap_or_default(),
            row.explanation,
        );
    }
    page
}

/// The code, with the HTTP status where that decides.
fn heading(row: &Known) -> String {
    match row.status {
        Some(status) => format!("{} ({status})", row.code),
        None => row.code.to_owned(),
    }
}

fn outcome(row: &Known) -> String {
    let (one, several) = (row.outcome, row.outcome_of(2));
    if one == several {
        one.to_string()
    } else {
        format!("{one} ({several} with several settings)")
    }
}

fn retried(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "no",
        Retry::Once => "once",
        Retry::Backoff => "yes",
    }
}

/// What the code says of a token that was obtained for a password, and of the password.
fn credential(row: &Known) -> Option<String> {
    let said: Vec<_> = { of_token(row).into_iter() }
        .chain(of_password(row.password))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn of_token(row: &Known) -> Option<&'static str> {
    row.rejects_token.then_some("token is replaced")
}

fn of_password(doubt: PasswordDoubt) -> Option<&'static str> {
    match doubt {
        PasswordDoubt::None => None,
        PasswordDoubt::Locked => Some("login is locked"),
        PasswordDoubt::Perhaps => Some("password may be wrong"),
        PasswordDoubt::Wrong => Some("password is wrong"),
    }
}

fn wrong_password(doubt: PasswordDoubt) -> &'static str {
    match doubt {
        PasswordDoubt::None => "no",
        PasswordDoubt::Locked => "locked",
        PasswordDoubt::Perhaps => "perhaps",
        PasswordDoubt::Wrong => "yes",
    }
}

fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Seen => "seen in answers of the REST API",
        Evidence::Documented => "documented for the API gateway",
        Evidence::Inferred => "inferred from the client SDK",
    }
}

#[cfg(test)]
mod tests;
