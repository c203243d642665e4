//! Routes one by one: what each needs, which boundary it touches, where it goes.

use std::sync::Arc;

use http::HeaderName;

use super::names::Names;
use crate::policy::file::{
    At, CorsWritten, Needs, PolicyFile, RouteWritten, SourceWritten, Within,
};
use crate::policy::template::Template;
use crate::policy::{Requirement, Route, RouteBoundary, Source};
use crate::words::{
    DimensionId, DimensionName, Fault, Faults, Folding, Permission, PermissionId, RouteId, Rule,
    Spelling, UpstreamId, fields, nearest,
};

/// Most routes of one policy. Ten times the largest published API description.
const ROUTES_MAX: usize = 50_000;

/// Every route of every file, in their order.
pub(super) fn compile(files: &[PolicyFile], names: &Names, faults: &mut Faults) -> Vec<Route> {
    let mut routes = Vec::new();
    for file in files {
        check_default(file, names, faults);
        for written in &file.routes {
            if routes.len() == ROUTES_MAX {
                let message =
                    format!("more than {ROUTES_MAX} routes: split the gateway, not the file");
                faults.push(Fault::new(written.place.clone(), message));
                return routes;
            }
            let id = RouteId(u32::try_from(routes.len()).unwrap_or(u32::MAX));
            routes.extend(route(id, file, written, names, faults));
        }
    }
    routes
}

/// The dimensions of a file's default are looked up even if no route uses them.
fn check_default(file: &PolicyFile, names: &Names, faults: &mut Faults) {
    if let Some(upstream) = &file.upstream {
        names.upstream(upstream, faults);
    }
    if let Some(Within::Bound(bound)) = &file.within {
        for (dimension, _) in bound {
            names.dimension(dimension, faults);
        }
    }
}

fn route(
    id: RouteId,
    file: &PolicyFile,
    written: &RouteWritten,
    names: &Names,
    faults: &mut Faults,
) -> Option<Route> {
    let requirement = requirement(&written.needs, names, faults);
    let boundary = boundary(file.within.as_ref(), written, names, faults);
    let upstream = upstream(file, written, names, faults);
    let (upstream, rules) = upstream?;
    if let Some(boundary) = &boundary {
        refuse_doubles(boundary, &rules.header_names, written, faults);
    }
    Some(Route {
        id,
        name: written.name.clone(),
        methods: written.methods,
        loose: loose(written, rules.spelling, faults),
        template: written.template.clone(),
        hosts: file.hosts.iter().map(|host| host.to_string()).collect(),
        requirement: requirement?,
        boundary: boundary?,
        upstream,
        timeout: written.timeout,
        shadow: written.shadow.or(file.shadow).unwrap_or(rules.shadow),
        unsafe_allow: written.unsafe_allow.union(rules.unsafe_allow),
        pass_authorization: written.pass_authorization || rules.pass_authorization,
        upgrade: written.upgrade,
        trailers: written.trailers.clone(),
        body_bytes: written.body_bytes,
        rate: written.rate,
        rate_per_account: written.rate_per_account,
        header_names: rules.header_names,
        method_in_query: rules.method_in_query,
        cors: match written.cors.as_ref().or(file.cors.as_ref()) {
            Some(CorsWritten::On(cors)) => Some(Arc::new(cors.clone())),
            Some(CorsWritten::Off) | None => None,
        },
        place: written.place.clone(),
    })
}

/// A header that says a place has no double that a lenient upstream could read instead of it.
fn refuse_doubles(
    boundary: &RouteBoundary,
    let_through: &[HeaderName],
    written: &RouteWritten,
    faults: &mut Faults,
) {
    let RouteBoundary::Bound(sources) = boundary else {
        return;
    };
    for (_, source) in sources {
        let Source::Header(name) = source else {
            continue;
        };
        let double = let_through
            .iter()
            .find(|other| fields::folded(other.as_str()) == name.as_str());
        if let Some(double) = double {
            let message = format!(
                "`{double}` is let through to this upstream, and some take it for `{name}`, which says the place: bind another header, or remove it from `unsafe_header_names`"
            );
            faults.push(Fault::new(written.place.clone(), message));
        }
    }
}

fn upstream(
    file: &PolicyFile,
    written: &RouteWritten,
    names: &Names,
    faults: &mut Faults,
) -> Option<(UpstreamId, crate::settings::UpstreamRules)> {
    let Some(name) = written.upstream.as_ref().or(file.upstream.as_ref()) else {
        let message = format!(
            "route `{}` leads nowhere: name an `upstream` for it, or for the file",
            written.name
        );
        faults.push(Fault::new(written.place.clone(), message));
        return None;
    };
    let id = names.upstream(name, faults)?;
    Some((id, names.rules(&name.value)))
}

/// The template in the one spelling of its upstream.
fn loose(written: &RouteWritten, spelling: Spelling, faults: &mut Faults) -> Option<Template> {
    if spelling.is_exact() {
        return None;
    }
    let text = spelling.of(written.template.as_str(), Folding::Unicode);
    let loose = Template::parse(&text).map_err(|error| {
        let message = format!(
            "`{}` cannot be told without its case: {}",
            written.name, error.message
        );
        faults.push(Fault::new(written.place.clone(), message));
    });
    loose.ok()
}

fn requirement(needs: &Needs, names: &Names, faults: &mut Faults) -> Option<Requirement> {
    let mut ids = |permissions: &[At<Permission>]| {
        let found = permissions
            .iter()
            .filter_map(|at| names.permission(at, faults));
        let mut ids: Vec<PermissionId> = found.collect();
        let all_known = ids.len() == permissions.len();
        ids.sort();
        ids.dedup();
        all_known.then_some(ids)
    };
    match needs {
        Needs::Public => Some(Requirement::Public),
        Needs::AnyAccount => Some(Requirement::AnyAccount),
        Needs::All(permissions) => Some(Requirement::All(ids(permissions)?)),
        Needs::Any(permissions) => {
            let ids = ids(permissions)?;
            // One way of saying it, so that two routes that ask the same are seen to be equal.
            Some(if ids.len() == 1 {
                Requirement::All(ids)
            } else {
                Requirement::Any(ids)
            })
        }
    }
}

fn boundary(
    default: Option<&Within>,
    written: &RouteWritten,
    names: &Names,
    faults: &mut Faults,
) -> Option<RouteBoundary> {
    if let (Needs::Public | Needs::AnyAccount, Some(within)) = (&written.needs, &written.within) {
        let message = "a `public` or `any_account` route has no boundary: remove `within`";
        faults.push(Fault::new(within.place.clone(), message));
        return None;
    }
    if matches!(written.needs, Needs::Public | Needs::AnyAccount) {
        return Some(RouteBoundary::Unlimited);
    }
    let own = match written.within.as_ref().map(|at| &at.value) {
        Some(Within::Unlimited) => return Some(RouteBoundary::Unlimited),
        Some(Within::Forwarded) => return Some(RouteBoundary::Forwarded),
        Some(Within::Bound(own)) => own.as_slice(),
        None => &[],
    };
    let default = match default {
        Some(Within::Bound(default)) => default.as_slice(),
        Some(Within::Forwarded) if own.is_empty() => return Some(RouteBoundary::Forwarded),
        Some(Within::Unlimited | Within::Forwarded) | None => &[],
    };
    let says = |name: &DimensionName| own.iter().any(|(own, _)| own.value == *name);
    let inherited = default.iter().filter(|(name, _)| !says(&name.value));
    let own = own.iter().map(|(name, source)| {
        let bound = from_own(source, written, faults);
        (names.dimension(name, faults), bound)
    });
    let mut bound: Vec<_> = own.collect();
    for (name, source) in inherited {
        let inherited = from_default(name, source, written, faults);
        bound.push((names.dimension(name, faults), inherited));
    }
    if bound.is_empty() {
        return Some(RouteBoundary::Unlimited);
    }
    let bound = bound
        .into_iter()
        .map(|(dimension, source)| Some((dimension?, source?)));
    let mut bound: Vec<(DimensionId, Source)> = bound.collect::<Option<_>>()?;
    bound.sort_by_key(|(dimension, _)| *dimension);
    Some(RouteBoundary::Bound(bound))
}

/// A source that the route itself names.
fn from_own(
    source: &At<SourceWritten>,
    written: &RouteWritten,
    faults: &mut Faults,
) -> Option<Source> {
    let SourceWritten::Path(param) = &source.value else {
        return from_request(&source.value);
    };
    let message = match written.template.param(param) {
        Some(number) if written.template.binds(number) => return Some(Source::Path(number)),
        Some(_) => format!(
            "`{{{param}}}` shares its segment with other text, and two readers could split it differently: bind a parameter that has a segment to itself"
        ),
        None => {
            let params = written.template.params().iter().map(String::as_str);
            let near = nearest(param, params);
            format!(
                "`{param}` is not a parameter of `{}`{near}",
                written.template
            )
        }
    };
    let rule = Rule::BoundaryParameterMissing;
    faults.push(Fault::of(rule, source.place.clone(), message));
    None
}

/// A source that the file names for all its routes; what is wrong with it here is the route's.
fn from_default(
    name: &At<DimensionName>,
    source: &At<SourceWritten>,
    written: &RouteWritten,
    faults: &mut Faults,
) -> Option<Source> {
    let SourceWritten::Path(param) = &source.value else {
        return from_request(&source.value);
    };
    let number = written.template.param(param);
    if let Some(number) = number.filter(|number| written.template.binds(*number)) {
        return Some(Source::Path(number));
    }
    let why = if number.is_some() {
        format!("`{{{param}}}` shares its segment with other text")
    } else {
        format!("there is no `{{{param}}}` in it")
    };
    let message = format!(
        "route `{}` does not say its `{}` as the file's `within` asks, {why}: bind it in the route's own `within`, or say `unlimited` or `forwarded`",
        written.name, name.value
    );
    let rule = Rule::BoundaryParameterMissing;
    faults.push(Fault::of(rule, written.place.clone(), message));
    None
}

fn from_request(source: &SourceWritten) -> Option<Source> {
    match source {
        SourceWritten::Path(_) => None,
        SourceWritten::Query { name, separator } => Some(Source::Query {
            name: name.clone(),
            separator: *separator,
        }),
        SourceWritten::Header(name) => Some(Source::Header(name.clone())),
    }
}
