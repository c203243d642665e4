//! From what an import found to a plan of a policy.

use super::*;
use crate::import::write;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::words::Place;

fn operation(line: &str) -> Operation {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap();
    let (id, methods, template, needs) = (next(), next(), next(), next());
    let permissions = |text: &str| text.split('+').map(|it| it.parse().unwrap()).collect();
    let methods: MethodSet = methods
        .split(',')
        .map(|it| Method::parse(it).unwrap())
        .collect();
    Operation {
        place: Place::whole("api.json"),
        id: Some(id.to_owned()),
        methods,
        template: Template::parse(template).unwrap(),
        needs: match needs {
            "review" => Needs::ReviewPublic,
            "any_account" => Needs::AnyAccount,
            needs => match needs.strip_prefix("any=") {
                Some(any) => Needs::Any(permissions(any)),
                None => Needs::All(permissions(needs)),
            },
        },
        within: Vec::new(),
        tags: vec!["Pets and more".to_owned()],
        reads: methods.contains(Method::Get),
        options: Vec::new(),
    }
}

fn plan(operations: Vec<Operation>) -> (Plan, Notes) {
    let draft = Draft {
        origins: vec!["api.json".to_owned()],
        operations,
        ..Draft::default()
    };
    let way = Way {
        upstream: "api".parse().unwrap(),
        dimensions: vec![(
            "tenant".parse().unwrap(),
            "Whose it is: a customer".to_owned(),
        )],
        own_endpoints: vec![(Method::Post, "/oauth/token".to_owned())],
    };
    Plan::of(draft, way)
}

fn said(lines: &[&str]) -> (Vec<String>, Vec<String>) {
    let (plan, notes) = plan(lines.iter().map(|line| operation(line)).collect());
    let text = write(&plan);
    let (_, routes) = text.split_once("\nroutes:\n").unwrap_or_default();
    let routes = routes.lines().map(|line| line.trim().to_owned());
    let notes = notes.iter().map(|note| note.message.clone());
    (routes.collect(), notes.collect())
}

#[test]
fn operations_of_one_shape_and_method_are_one_route_that_asks_for_both() {
    let (routes, notes) = said(&[
        "one GET /a/{x} a:view",
        "two GET /a/{y} a:view",
        "three GET,PUT /b/{x} b:edit",
        "four PUT /b/{y} any=c:edit+d:edit",
        "five GET /c review",
        "six GET /c a:view",
    ]);
    assert_eq!(
        routes,
        [
            "GET /a/{x}: a:view  # one, two",
            "GET /b/{x}: b:edit  # three",
            "PUT /b/{x}: { all: [b:edit, c:edit, d:edit] }  # three, four",
            "GET /c: a:view  # five, six",
        ]
    );
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].starts_with("`four` matches the same requests"),
        "{notes:?}"
    );
}

#[test]
fn what_no_route_may_say_is_left_out_and_told() {
    let long = format!("long GET /{} a:view", "a".repeat(1_000));
    let (routes, notes) = said(&["token GET,POST /oauth/token a:view", &long]);
    assert_eq!(routes, ["GET /oauth/token: a:view  # token"]);
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn the_file_compiles_as_it_is_and_a_person_can_read_it() {
    let mut listed = operation("list GET /tenants/{t}/pets pets:view");
    listed.within = vec![("tenant".parse().unwrap(), "t".to_owned())];
    let mut put = operation("put PUT /tenants/{t}/pets/{pet} pets:edit");
    put.within = listed.within.clone();
    put.options = vec![("shadow", "true".to_owned())];
    let about = operation("about GET /about any_account");
    let (plan, _) = plan(vec![listed, put, about]);
    let text = write(&plan);
    insta::assert_snapshot!(text, @r#"
        # Imported from api.json.
        # It is yours to edit: `portcullis routes import … --merge` keeps what you change. The comment
        # behind a route is what the document calls it.
        #
        # Routes without `within` are `unlimited`: only grants without a boundary open them.

        upstream: api

        dimensions:
          tenant: "Whose it is: a customer"

        permissions:
          pets:edit: Make, change and remove pets
          pets:view: See pets

        roles:
          viewer:
            description: Reads everything, changes nothing
            permissions:
              - pets:view
          editor:
            description: Reads and changes everything
            include: [viewer]
            permissions:
              - pets:edit
          pets-and-more:
            description: Everything the API files under Pets and more
            permissions:
              - pets:edit
              - pets:view

        routes:
          GET /tenants/{t}/pets: { needs: pets:view, within: { tenant: path.t } }  # list
          PUT /tenants/{t}/pets/{pet}: { needs: pets:edit, within: { tenant: path.t }, shadow: true }  # put
          GET /about: any_account  # about
        "#);
    let file = SourceFile {
        path: std::path::Path::new("api.yaml").into(),
        text,
    };
    let policy = compile(&[file], &Context::default()).unwrap();
    assert_eq!((policy.routes.len(), policy.roles.len()), (3, 3));
}
