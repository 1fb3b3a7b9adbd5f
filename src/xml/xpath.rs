//! XPath 1.0 as far as cluster tools and ACLs use it: location paths with all axes but the namespace ones, predicates,
//! unions, comparisons, arithmetic by `+ -`, and the core functions over strings, counts and names.
//!
//! For an evaluation the elements are numbered in document order once; a node set is then a sorted list of numbers, and
//! "all below" is a range. What an expression may cost is bounded, since anybody who may query may write one.

mod direct;
mod eval;
mod parse;

use super::Element;

/// An expression that has been read.
#[derive(Debug, Clone)]
pub struct XPath {
    text: String,
    expr: parse::Expr,
}

/// What an XPath found: an element, and one of its attributes if that was asked for.
#[derive(Debug, Clone)]
pub struct Match<'a> {
    /// The element; the document's own match is its root element.
    pub element: &'a Element,
    /// Indexes from the root to it, as [`Element::at`] takes them.
    pub path: Vec<usize>,
    /// Name and value, if the match is an attribute.
    pub attribute: Option<(&'a str, &'a str)>,
}

/// Why an XPath has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum XPathError {
    #[error("XPath `{text}`: {problem} at character {column}")]
    Syntax {
        text: String,
        column: usize,
        problem: String,
    },
    #[error("XPath `{text}`: it gives a value, not elements")]
    NotElements { text: String },
    #[error("XPath `{text}` takes too long; name the path to what is looked for")]
    TooExpensive { text: String },
}

impl XPath {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, XPathError> {
        let expr = parse::parse(text).map_err(|(column, problem)| XPathError::Syntax {
            text: text.into(),
            column: column + 1,
            problem,
        })?;
        Ok(Self {
            text: text.into(),
            expr,
        })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All matches in the document of this root, in document order.
    pub fn select<'a>(&self, root: &'a Element) -> Result<Vec<Match<'a>>, XPathError> {
        if let Some(found) = direct::select(&self.expr, root) {
            return Ok(found);
        }
        let document = eval::Document::new(root);
        let failed = |failure| match failure {
            eval::Failure::OutOfFuel => XPathError::TooExpensive {
                text: self.text.clone(),
            },
            eval::Failure::NotNodes => XPathError::NotElements {
                text: self.text.clone(),
            },
        };
        let nodes = document.evaluate(&self.expr).map_err(failed)?;
        Ok(nodes
            .into_iter()
            .map(|node| document.describe(node))
            .collect())
    }

    /// The first match in document order.
    pub fn first<'a>(&self, root: &'a Element) -> Result<Option<Match<'a>>, XPathError> {
        Ok(self.select(root)?.into_iter().next())
    }
}

/// The text as a literal of an expression.
pub fn literal(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    if !text.contains('"') {
        return format!("\"{text}\"");
    }
    let parts: Vec<String> = text.split('\'').map(|part| format!("'{part}'")).collect();
    format!("concat({})", parts.join(", \"'\", "))
}

#[cfg(test)]
mod tests;
