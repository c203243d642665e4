//! The arguments that several commands share, and how their texts are read.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::Failure;
use super::transport::Grant;
use crate::words::{AccountName, Boundary, DimensionName, Method, RoleName, UnixTime};

/// A boundary, as given by any number of `--within`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Within {
    /// Where the grant holds; repeat it for more dimensions or values. Everywhere if left out
    #[arg(long, value_name = "DIMENSION=VALUE[,VALUE]", value_parser = dimension_values)]
    within: Vec<DimensionValues>,
}

/// Whose a new account, group or role is, as given by any number of `--owner`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Owner {
    /// Whose it is: who manages all of this, and nobody who manages less, sees and changes it; repeat it for
    /// more dimensions or values. It never changes. Without it, it belongs to who makes it
    #[arg(long, value_name = "DIMENSION=VALUE[,VALUE]", value_parser = dimension_values)]
    owner: Vec<DimensionValues>,
}

impl Owner {
    /// All of them as one boundary, if any was given.
    pub(super) fn boundary(&self) -> Option<Boundary> {
        (!self.owner.is_empty()).then(|| together(&self.owner))
    }
}

/// One `--within`: a dimension and the values listed for it.
type DimensionValues = (DimensionName, Vec<String>);

impl Within {
    /// All of them as one boundary.
    pub(super) fn boundary(&self) -> Boundary {
        together(&self.within)
    }

    /// Says whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.within.is_empty()
    }
}

fn together(limits: &[DimensionValues]) -> Boundary {
    let pairs = limits.iter().flat_map(|(dimension, values)| {
        let pair = |value: &String| (dimension.clone(), value.clone());
        values.iter().map(pair)
    });
    pairs.collect()
}

fn dimension_values(text: &str) -> Result<DimensionValues, String> {
    let Some((dimension, values)) = text.split_once('=') else {
        return Err("expected `dimension=value`, such as `tenant=acme`".to_owned());
    };
    let dimension = dimension.parse().map_err(|error| format!("{error}"))?;
    let values: Vec<_> = values.split(',').map(str::to_owned).collect();
    if values.iter().any(String::is_empty) {
        return Err("a value is empty: expected `tenant=acme` or `tenant=acme,globex`".to_owned());
    }
    Ok((dimension, values))
}

/// The grants of a new account or group: each role within the same boundary.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Roles {
    /// Role to grant; repeat it for more
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleName>,
    #[command(flatten)]
    within: Within,
}

impl Roles {
    /// Each role with the boundary.
    ///
    /// # Errors
    ///
    /// A boundary without a role: a limit on nothing is a slip, and silence would hide it.
    pub(super) fn grants(&self) -> Result<Vec<Grant>, Failure> {
        if self.roles.is_empty() && !self.within.is_empty() {
            return Err(Failure::usage("`--within` needs a `--role` to limit"));
        }
        let boundary = self.within.boundary();
        let grant = |role: &RoleName| Grant {
            role: role.clone(),
            within: boundary.clone(),
        };
        Ok(self.roles.iter().map(grant).collect())
    }
}

/// One grant to give or to take.
#[derive(Args, Clone, Debug)]
pub(super) struct OneRole {
    /// The role
    #[arg(long, value_name = "ROLE")]
    pub(super) role: RoleName,
    #[command(flatten)]
    pub(super) within: Within,
}

impl OneRole {
    /// What to say when the role is given without a boundary, which is easily overlooked.
    pub(super) fn said_everywhere(&self, whom: fmt::Arguments<'_>) -> Option<String> {
        let role = &self.role;
        let said = format!(
            "{whom} holds `{role}` everywhere: `--within DIMENSION=VALUE` gives it for some places only"
        );
        self.within.is_empty().then_some(said)
    }
}

/// Who would make a request, and by which policy it is decided.
#[derive(Args, Clone, Debug)]
pub(super) struct Who {
    /// Account that calls; nobody if left out
    #[arg(long = "as", value_name = "ACCOUNT", conflicts_with_all = ["role", "within"])]
    pub(super) account: Option<AccountName>,
    /// Instead of an account: a role of one that is only thought of; repeat it for more
    #[arg(long, value_name = "ROLE")]
    role: Vec<RoleName>,
    #[command(flatten)]
    within: Within,
    /// Decide by the policy files in this folder, and the accounts in them, without server and store
    #[arg(long, value_name = "FOLDER")]
    pub(super) policies: Option<PathBuf>,
}

impl Who {
    /// What the account that is only thought of would hold.
    ///
    /// # Errors
    ///
    /// As for [`Roles::grants`].
    pub(super) fn grants(&self) -> Result<Vec<Grant>, Failure> {
        let roles = Roles {
            roles: self.role.clone(),
            within: self.within.clone(),
        };
        roles.grants()
    }
}

/// What else of a request may decide.
#[derive(Args, Clone, Debug)]
pub(super) struct Circumstances {
    /// Address the call comes from; without it addresses are not looked at
    #[arg(long, value_name = "IP")]
    pub(super) from: Option<IpAddr>,
    /// Host the request names
    #[arg(long)]
    pub(super) host: Option<String>,
    /// Header a boundary reads; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,
}

/// Reads a method; people write it small, too.
pub(super) fn method(text: &str) -> Result<Method, String> {
    Method::parse(&text.to_ascii_uppercase()).ok_or_else(|| {
        let known: Vec<_> = Method::ALL.iter().map(|method| method.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

/// Reads a path; what it means is for the gateway to say.
pub(super) fn target(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("expected a path that starts with `/`, such as `/v1/tenants/acme/devices`".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("expected `Name: value`, such as `X-Tenant: acme`")?;
    name.parse::<http::HeaderName>()
        .map_err(|_| format!("`{}` is not a header name", name.escape_debug()))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// A moment: a span from now, such as `90d`, or a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long from now.
    After(Duration),
    /// At this moment.
    At(UnixTime),
}

impl When {
    /// The moment, if it is `now` now.
    pub(super) fn moment(self, now: UnixTime) -> UnixTime {
        match self {
            Self::After(span) => now.plus(span),
            Self::At(moment) => moment,
        }
    }
}

/// Reads a span or a timestamp.
pub(super) fn when(text: &str) -> Result<When, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(When::After(span));
    }
    text.parse().map(When::At).map_err(|_| {
        "expected a span such as `90d`, or a time such as `2027-01-31T00:00:00Z`".to_owned()
    })
}

/// A moment that is over: a span before now, such as `1h`, or a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(When);

impl Since {
    /// The moment, if it is `now`.
    pub(super) fn moment(self, now: UnixTime) -> UnixTime {
        match self.0 {
            When::After(span) => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                UnixTime::from_millis(now.as_millis().saturating_sub(span))
            }
            When::At(moment) => moment,
        }
    }
}

/// Reads a span into the past, or a timestamp.
pub(super) fn since(text: &str) -> Result<Since, String> {
    when(text).map(Since)
}

/// Reads a span.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a span such as `1h` or `90d`".to_owned())
}

/// Reads a network; a lone address is a network of one.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "expected addresses such as `10.0.0.0/8` or `192.0.2.7`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_withins_make_one_boundary() {
        let within = |texts: &[&str]| Within {
            within: texts
                .iter()
                .map(|text| dimension_values(text).unwrap())
                .collect(),
        };
        for (texts, expected) in [
            (&[][..], "everywhere"),
            (&["tenant=acme"], "tenant acme"),
            (&["tenant=acme,globex"], "tenant acme, globex"),
            (
                &["tenant=globex", "site=7", "tenant=acme"],
                "site 7; tenant acme, globex",
            ),
            (&["tenant=a=b"], "tenant a=b"),
        ] {
            assert_eq!(within(texts).boundary().to_string(), expected);
        }
    }

    #[test]
    fn a_within_that_limits_nothing_is_refused() {
        for text in ["tenant", "tenant=", "=acme", "tenant=acme,", "Ten ant=x"] {
            assert!(dimension_values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_is_a_span_or_a_timestamp() {
        let now: UnixTime = "2026-11-21T12:00:00Z".parse().unwrap();
        let moment = |text| {
            when(text)
                .map(|when: When| when.moment(now).to_string())
                .map_err(drop)
        };
        assert_eq!(moment("1d"), Ok("2026-11-22T12:00:00.000Z".to_owned()));
        assert_eq!(moment("90s"), Ok("2026-11-21T12:01:30.000Z".to_owned()));
        assert_eq!(
            moment("2027-01-31T00:00:00Z"),
            Ok("2027-01-31T00:00:00.000Z".to_owned())
        );
        assert_eq!(moment("soon"), Err(()));
        assert_eq!(moment("-1d"), Err(()));
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert!(network("10.0.0.0/33").is_err() && network("localhost").is_err());
    }

    #[test]
    fn methods_may_be_written_small() {
        assert_eq!(method("delete"), Ok(Method::Delete));
        assert!(
            method("FETCH")
                .unwrap_err()
                .contains("expected one of GET, HEAD")
        );
    }
}
