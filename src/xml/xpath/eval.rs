//! Values and their rules. Elements are numbered from 1 in document order, 0 is the document itself, so that everything
//! below an element is the range behind it.

use std::cell::Cell;

use super::{
    super::{Element, Node},
    Match,
    parse::{Axis, Comparison, Expr, Function, Step, Test},
};

/// Nodes looked at before an evaluation gives up: so many, and a few times the document.
const FUEL: u64 = 5_000_000;
const FUEL_PER_ELEMENT: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    OutOfFuel,
    NotNodes,
}

pub(super) struct Document<'a> {
    items: Vec<Item<'a>>,
    fuel: Cell<u64>,
}

struct Item<'a> {
    element: &'a Element,
    parent: u32,
    /// One behind the last item below this one.
    end: u32,
    /// Among the nodes of its parent.
    index: u32,
}

/// An element (attribute 0) or an attribute of it (counted from 1). Ordered as in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    item: u32,
    attribute: u32,
}

impl Place {
    fn element(item: u32) -> Self {
        Self { item, attribute: 0 }
    }
}

enum Value {
    Nodes(Vec<Place>),
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// Where an expression is evaluated.
#[derive(Clone, Copy)]
struct Context {
    place: Place,
    position: usize,
    size: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Element) -> Self {
        let mut document = Self {
            items: vec![Item {
                element: root,
                parent: 0,
                end: 0,
                index: 0,
            }],
            fuel: Cell::new(0),
        };
        document.add(root, 0, 0);
        document.items[0].end = document.count();
        document
            .fuel
            .set(FUEL + FUEL_PER_ELEMENT * document.items.len() as u64);
        document
    }

    fn count(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, element: &'a Element, parent: u32, index: usize) {
        let item = self.count();
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.items.push(Item {
            element,
            parent,
            end: 0,
            index,
        });
        for (index, node) in element.nodes().iter().enumerate() {
            if let Node::Element(child) = node {
                self.add(child, item, index);
            }
        }
        let end = self.count();
        self.items[item as usize].end = end;
    }

    pub(super) fn evaluate(&self, expr: &Expr) -> Result<Vec<Place>, Failure> {
        let context = Context {
            place: Place::element(0),
            position: 1,
            size: 1,
        };
        self.nodes(expr, context)
    }

    pub(super) fn describe(&self, place: Place) -> Match<'a> {
        let element = self.items[place.item as usize].element;
        let mut path = Vec::new();
        let mut at = place.item;
        while at > 1 {
            path.push(self.items[at as usize].index as usize);
            at = self.items[at as usize].parent;
        }
        path.reverse();
        let attribute = (place.attribute as usize).checked_sub(1);
        let attribute = attribute.and_then(|index| element.attrs().nth(index));
        Match {
            element,
            path,
            attribute,
        }
    }

    fn burn(&self, amount: usize) -> Result<(), Failure> {
        let left = self
            .fuel
            .get()
            .checked_sub(amount as u64 + 1)
            .ok_or(Failure::OutOfFuel)?;
        self.fuel.set(left);
        Ok(())
    }

    fn nodes(&self, expr: &Expr, context: Context) -> Result<Vec<Place>, Failure> {
        match self.value(expr, context)? {
            Value::Nodes(nodes) => Ok(nodes),
            _ => Err(Failure::NotNodes),
        }
    }

    fn value(&self, expr: &Expr, context: Context) -> Result<Value, Failure> {
        self.burn(0)?;
        Ok(match expr {
            Expr::Or(a, b) => Value::Boolean(self.truth(a, context)? || self.truth(b, context)?),
            Expr::And(a, b) => Value::Boolean(self.truth(a, context)? && self.truth(b, context)?),
            Expr::Compare(comparison, a, b) => {
                let (a, b) = (self.value(a, context)?, self.value(b, context)?);
                Value::Boolean(self.compare(*comparison, &a, &b)?)
            }
            Expr::Sum(a, b) => Value::Number(self.number(a, context)? + self.number(b, context)?),
            Expr::Difference(a, b) => {
                Value::Number(self.number(a, context)? - self.number(b, context)?)
            }
            Expr::Negative(a) => Value::Number(-self.number(a, context)?),
            Expr::Union(a, b) => {
                let mut nodes = self.nodes(a, context)?;
                nodes.extend(self.nodes(b, context)?);
                nodes.sort_unstable();
                nodes.dedup();
                Value::Nodes(nodes)
            }
            Expr::Literal(text) => Value::Text(text.clone()),
            Expr::Number(number) => Value::Number(*number),
            Expr::Call(function, arguments) => self.call(*function, arguments, context)?,
            Expr::Filter(primary, predicates, steps) => {
                let mut nodes = self.nodes(primary, context)?;
                for predicate in predicates {
                    nodes = self.filter(nodes, predicate)?;
                }
                Value::Nodes(self.walk(nodes, steps)?)
            }
            Expr::Path { absolute, steps } => {
                let start = if *absolute {
                    Place::element(0)
                } else {
                    context.place
                };
                Value::Nodes(self.walk(vec![start], steps)?)
            }
        })
    }

    fn walk(&self, mut nodes: Vec<Place>, steps: &[Step]) -> Result<Vec<Place>, Failure> {
        let mut steps = steps;
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            // `//name` is `descendant-or-self::node()/child::name`: without a predicate that counts, one walk below.
            let below = step.axis == Axis::DescendantOrSelf
                && step.test == Test::Any
                && step.predicates.is_empty();
            if below
                && let Some((next, rest)) = steps.split_first()
                && next.axis == Axis::Child
                && !next.predicates.iter().any(Expr::is_positional)
            {
                let next = Step {
                    axis: Axis::Descendant,
                    ..next.clone()
                };
                nodes = self.step(&nodes, &next)?;
                steps = rest;
            } else {
                nodes = self.step(&nodes, step)?;
            }
        }
        Ok(nodes)
    }

    fn step(&self, from: &[Place], step: &Step) -> Result<Vec<Place>, Failure> {
        let mut out = Vec::new();
        for place in from {
            let mut found = self.candidates(*place, step)?;
            for predicate in &step.predicates {
                found = self.filter(found, predicate)?;
            }
            out.extend(found);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    /// Nodes on the axis that pass the test; on reverse axes the nearest first.
    fn candidates(&self, place: Place, step: &Step) -> Result<Vec<Place>, Failure> {
        let item = &self.items[place.item as usize];
        let mut out = Vec::new();
        let mut offer = |at: u32| {
            let candidate = &self.items[at as usize];
            let fits = match &step.test {
                Test::Any => true,
                Test::Named => at > 0,
                Test::Name(name) => at > 0 && candidate.element.is(name),
            };
            if fits {
                out.push(Place::element(at));
            }
        };
        if place.attribute > 0 {
            match step.axis {
                Axis::SelfNode | Axis::DescendantOrSelf if step.test == Test::Any => {
                    out.push(place);
                }
                Axis::Parent => offer(place.item),
                Axis::Ancestor | Axis::AncestorOrSelf => {
                    self.ancestors(place.item, true, &mut offer)?;
                }
                _ => {}
            }
            return Ok(out);
        }
        match step.axis {
            Axis::Attribute => {
                if place.item > 0 {
                    self.burn(item.element.attr_count())?;
                    for (index, (name, _)) in (1u32..).zip(item.element.attrs()) {
                        if !matches!(&step.test, Test::Name(wanted) if wanted != name) {
                            out.push(Place {
                                item: place.item,
                                attribute: index,
                            });
                        }
                    }
                }
            }
            Axis::Child => {
                let mut at = place.item + 1;
                while at < item.end {
                    self.burn(0)?;
                    offer(at);
                    at = self.items[at as usize].end;
                }
            }
            Axis::SelfNode => offer(place.item),
            Axis::Parent => {
                if place.item > 0 {
                    offer(item.parent);
                }
            }
            Axis::Descendant | Axis::DescendantOrSelf => {
                let first = place.item + u32::from(step.axis == Axis::Descendant);
                self.burn((item.end - place.item) as usize)?;
                (first..item.end).for_each(offer);
            }
            Axis::Ancestor => self.ancestors(place.item, false, &mut offer)?,
            Axis::AncestorOrSelf => self.ancestors(place.item, true, &mut offer)?,
            Axis::FollowingSibling => {
                if place.item > 0 {
                    let mut at = item.end;
                    while at < self.items[item.parent as usize].end {
                        self.burn(0)?;
                        offer(at);
                        at = self.items[at as usize].end;
                    }
                }
            }
            Axis::PrecedingSibling => {
                if place.item > 0 {
                    let mut at = item.parent + 1;
                    while at < place.item {
                        self.burn(0)?;
                        offer(at);
                        at = self.items[at as usize].end;
                    }
                    out.reverse();
                }
            }
        }
        Ok(out)
    }

    fn ancestors(
        &self,
        item: u32,
        itself: bool,
        offer: &mut impl FnMut(u32),
    ) -> Result<(), Failure> {
        let mut at = item;
        if itself {
            offer(at);
        }
        while at > 0 {
            self.burn(0)?;
            at = self.items[at as usize].parent;
            offer(at);
        }
        Ok(())
    }

    fn filter(&self, nodes: Vec<Place>, predicate: &Expr) -> Result<Vec<Place>, Failure> {
        let size = nodes.len();
        let mut out = Vec::new();
        for (index, place) in nodes.into_iter().enumerate() {
            let context = Context {
                place,
                position: index + 1,
                size,
            };
            let passes = match self.value(predicate, context)? {
                Value::Number(number) => number == context.position as f64,
                other => self.is_true(&other),
            };
            if passes {
                out.push(place);
            }
        }
        Ok(out)
    }

    fn call(
        &self,
        function: Function,
        arguments: &[Expr],
        context: Context,
    ) -> Result<Value, Failure> {
        let text = |index: usize| -> Result<String, Failure> {
            match arguments.get(index) {
                Some(argument) => self.value(argument, context).map(|v| self.text_of(&v)),
                None => Ok(self.text_at(context.place)),
            }
        };
        Ok(match function {
            Function::Last => Value::Number(context.size as f64),
            Function::Position => Value::Number(context.position as f64),
            Function::Count => Value::Number(self.nodes(&arguments[0], context)?.len() as f64),
            Function::Name => {
                let place = match arguments.first() {
                    Some(argument) => self.nodes(argument, context)?.first().copied(),
                    None => Some(context.place),
                };
                Value::Text(place.map(|place| self.name_at(place)).unwrap_or_default())
            }
            Function::String => Value::Text(text(0)?),
            Function::Concat => {
                let parts: Result<String, Failure> = (0..arguments.len()).map(text).collect();
                Value::Text(parts?)
            }
            Function::StartsWith => Value::Boolean(text(0)?.starts_with(&text(1)?)),
            Function::Contains => Value::Boolean(text(0)?.contains(&text(1)?)),
            Function::SubstringBefore => {
                let (whole, part) = (text(0)?, text(1)?);
                Value::Text(
                    whole
                        .split_once(&part)
                        .map_or("", |(before, _)| before)
                        .into(),
                )
            }
            Function::SubstringAfter => {
                let (whole, part) = (text(0)?, text(1)?);
                Value::Text(
                    whole
                        .split_once(&part)
                        .map_or("", |(_, after)| after)
                        .into(),
                )
            }
            Function::StringLength => Value::Number(text(0)?.chars().count() as f64),
            Function::NormalizeSpace => {
                let words: Vec<String> = text(0)?.split_whitespace().map(Into::into).collect();
                Value::Text(words.join(" "))
            }
            Function::Not => Value::Boolean(!self.truth(&arguments[0], context)?),
            Function::True => Value::Boolean(true),
            Function::False => Value::Boolean(false),
            Function::Boolean => Value::Boolean(self.truth(&arguments[0], context)?),
            Function::Number => Value::Number(to_number(&text(0)?)),
        })
    }

    fn truth(&self, expr: &Expr, context: Context) -> Result<bool, Failure> {
        Ok(self.is_true(&self.value(expr, context)?))
    }

    fn number(&self, expr: &Expr, context: Context) -> Result<f64, Failure> {
        Ok(self.number_of(&self.value(expr, context)?))
    }

    fn is_true(&self, value: &Value) -> bool {
        match value {
            Value::Nodes(nodes) => !nodes.is_empty(),
            Value::Text(text) => !text.is_empty(),
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::Boolean(boolean) => *boolean,
        }
    }

    fn number_of(&self, value: &Value) -> f64 {
        match value {
            Value::Number(number) => *number,
            Value::Boolean(boolean) => f64::from(u8::from(*boolean)),
            other => to_number(&self.text_of(other)),
        }
    }

    fn text_of(&self, value: &Value) -> String {
        match value {
            Value::Nodes(nodes) => nodes.first().map(|p| self.text_at(*p)).unwrap_or_default(),
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
        }
    }

    fn text_at(&self, place: Place) -> String {
        let element = self.items[place.item as usize].element;
        match (place.attribute as usize).checked_sub(1) {
            Some(index) => element
                .attrs()
                .nth(index)
                .map(|(_, v)| v.into())
                .unwrap_or_default(),
            None => element.descendants().map(Element::text).collect(),
        }
    }

    fn name_at(&self, place: Place) -> String {
        let element = self.items[place.item as usize].element;
        match (place.attribute as usize).checked_sub(1) {
            Some(index) => element
                .attrs()
                .nth(index)
                .map(|(n, _)| n.into())
                .unwrap_or_default(),
            None if place.item == 0 => String::new(),
            None => element.tag().into(),
        }
    }

    fn compare(&self, how: Comparison, a: &Value, b: &Value) -> Result<bool, Failure> {
        let equality = matches!(how, Comparison::Equal | Comparison::Unequal);
        match (a, b) {
            (Value::Nodes(_), Value::Boolean(_)) | (Value::Boolean(_), Value::Nodes(_)) => {
                Ok(compare_booleans(how, self.is_true(a), self.is_true(b)))
            }
            (Value::Nodes(nodes), other) => {
                self.burn(nodes.len())?;
                for place in nodes {
                    let text = Value::Text(self.text_at(*place));
                    if self.compare(how, &text, other)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (other, Value::Nodes(nodes)) => {
                self.burn(nodes.len())?;
                for place in nodes {
                    let text = Value::Text(self.text_at(*place));
                    if self.compare(how, other, &text)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::Boolean(_), _) | (_, Value::Boolean(_)) if equality => {
                Ok(compare_booleans(how, self.is_true(a), self.is_true(b)))
            }
            (Value::Text(a), Value::Text(b)) if equality => {
                Ok((a == b) == (how == Comparison::Equal))
            }
            _ => {
                let (a, b) = (self.number_of(a), self.number_of(b));
                Ok(match how {
                    Comparison::Equal => a == b,
                    Comparison::Unequal => a != b,
                    Comparison::Less => a < b,
                    Comparison::LessOrEqual => a <= b,
                    Comparison::Greater => a > b,
                    Comparison::GreaterOrEqual => a >= b,
                })
            }
        }
    }
}

fn compare_booleans(how: Comparison, a: bool, b: bool) -> bool {
    match how {
        Comparison::Equal => a == b,
        Comparison::Unequal => a != b,
        Comparison::Less => !a & b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Greater => a & !b,
        Comparison::GreaterOrEqual => a >= b,
    }
}

fn to_number(text: &str) -> f64 {
    let trimmed = text.trim();
    let plain = trimmed.strip_prefix('-').unwrap_or(trimmed);
    let is_number = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number {
        trimmed.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}
