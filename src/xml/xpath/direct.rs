//! The paths that daemons write by the thousand, `/cib/status/node_state[@id='1']`, are walked without numbering the
//! document first.

use super::{
    super::Element,
    Match,
    parse::{Axis, Comparison, Expr, Function, Step, Test},
};

/// The matches, if the expression is nothing but such a path.
pub(super) fn select<'a>(expr: &Expr, root: &'a Element) -> Option<Vec<Match<'a>>> {
    let Expr::Path {
        absolute: true,
        steps,
    } = expr
    else {
        return None;
    };
    if steps.is_empty() || !steps.iter().all(is_plain) {
        return None;
    }
    let mut found = Vec::new();
    if passes(root, &steps[0]) {
        walk(root, &steps[1..], &mut Vec::new(), &mut found);
    }
    Some(found)
}

fn walk<'a>(
    element: &'a Element,
    steps: &[Step],
    path: &mut Vec<usize>,
    found: &mut Vec<Match<'a>>,
) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(Match {
            element,
            path: path.clone(),
            attribute: None,
        });
        return;
    };
    for (index, node) in element.nodes().iter().enumerate() {
        if let Some(child) = node.as_element().filter(|child| passes(child, step)) {
            path.push(index);
            walk(child, rest, path, found);
            path.pop();
        }
    }
}

fn is_plain(step: &Step) -> bool {
    step.axis == Axis::Child
        && step.test != Test::Any
        && step
            .predicates
            .iter()
            .all(|predicate| condition(predicate, &mut |_, _| true).is_some())
}

fn passes(element: &Element, step: &Step) -> bool {
    let named = match &step.test {
        Test::Name(name) => element.is(name),
        Test::Named | Test::Any => true,
    };
    named
        && step.predicates.iter().all(|predicate| {
            let has = &mut |name: &str, value: Option<&str>| match value {
                Some(value) => element.get(name) == Some(value),
                None => element.has(name),
            };
            condition(predicate, has) == Some(true)
        })
}

/// The predicate with its tests of attributes answered by `has`; none if it is anything else.
fn condition(expr: &Expr, has: &mut dyn FnMut(&str, Option<&str>) -> bool) -> Option<bool> {
    match expr {
        Expr::And(a, b) => Some(condition(a, has)? & condition(b, has)?),
        Expr::Call(Function::Not, arguments) => match arguments.as_slice() {
            [argument] => condition(argument, has).map(|holds| !holds),
            _ => None,
        },
        Expr::Compare(Comparison::Equal, a, b) => match (&**a, &**b) {
            (Expr::Literal(value), path) | (path, Expr::Literal(value)) => {
                Some(has(attribute(path)?, Some(value)))
            }
            _ => None,
        },
        path => Some(has(attribute(path)?, None)),
    }
}

fn attribute(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Path {
            absolute: false,
            steps,
        } => match steps.as_slice() {
            [
                Step {
                    axis: Axis::Attribute,
                    test: Test::Name(name),
                    predicates,
                },
            ] if predicates.is_empty() => Some(name),
            _ => None,
        },
        _ => None,
    }
}
