//! The grammar: one function per level of precedence.

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Sum(Box<Expr>, Box<Expr>),
    Difference(Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Union(Box<Expr>, Box<Expr>),
    Literal(String),
    Number(f64),
    Call(Function, Vec<Expr>),
    /// `(...)[..]/path`
    Filter(Box<Expr>, Vec<Expr>, Vec<Step>),
    Path {
        absolute: bool,
        steps: Vec<Step>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Child,
    Attribute,
    SelfNode,
    Parent,
    Descendant,
    DescendantOrSelf,
    Ancestor,
    AncestorOrSelf,
    FollowingSibling,
    PrecedingSibling,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// `node()`
    Any,
    /// `*`
    Named,
    Name(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Last,
    Position,
    Count,
    Name,
    String,
    Concat,
    StartsWith,
    Contains,
    SubstringBefore,
    SubstringAfter,
    StringLength,
    NormalizeSpace,
    Not,
    True,
    False,
    Boolean,
    Number,
}

/// Name, function, least and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 18] = [
    ("last", Function::Last, 0, 0),
    ("position", Function::Position, 0, 0),
    ("count", Function::Count, 1, 1),
    ("name", Function::Name, 0, 1),
    ("local-name", Function::Name, 0, 1),
    ("string", Function::String, 0, 1),
    ("concat", Function::Concat, 2, 16),
    ("starts-with", Function::StartsWith, 2, 2),
    ("contains", Function::Contains, 2, 2),
    ("substring-before", Function::SubstringBefore, 2, 2),
    ("substring-after", Function::SubstringAfter, 2, 2),
    ("string-length", Function::StringLength, 0, 1),
    ("normalize-space", Function::NormalizeSpace, 0, 1),
    ("not", Function::Not, 1, 1),
    ("true", Function::True, 0, 0),
    ("false", Function::False, 0, 0),
    ("boolean", Function::Boolean, 1, 1),
    ("number", Function::Number, 0, 1),
];

const AXES: [(&str, Axis); 10] = [
    ("child", Axis::Child),
    ("attribute", Axis::Attribute),
    ("self", Axis::SelfNode),
    ("parent", Axis::Parent),
    ("descendant", Axis::Descendant),
    ("descendant-or-self", Axis::DescendantOrSelf),
    ("ancestor", Axis::Ancestor),
    ("ancestor-or-self", Axis::AncestorOrSelf),
    ("following-sibling", Axis::FollowingSibling),
    ("preceding-sibling", Axis::PrecedingSibling),
];

const MOST_BYTES: usize = 16 << 10;
const DEEPEST: usize = 64;

/// Character offset and what is wrong there.
pub(super) type Problem = (usize, String);

pub(super) fn parse(text: &str) -> Result<Expr, Problem> {
    if text.len() > MOST_BYTES {
        return Err((0, format!("more than {MOST_BYTES} bytes")));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        end: text.chars().count(),
    };
    let expr = parser.or()?;
    match parser.tokens.get(parser.next) {
        None => Ok(expr),
        Some((at, _)) => Err((*at, "something that does not belong there".into())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Literal(String),
    Number(f64),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 21] = [
    "::", "//", "..", "!=", "<=", ">=", "/", ".", "@", "*", "|", "=", "<", ">", "(", ")", "[", "]",
    ",", "+", "-",
];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Problem> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut at = 0;
    loop {
        let trimmed = rest.trim_start();
        at += rest[..rest.len() - trimmed.len()].chars().count();
        rest = trimmed;
        let Some(first) = rest.chars().next() else {
            return Ok(out);
        };
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let (token, bytes) = if first == '"' || first == '\'' {
            let inside = &rest[1..];
            let end = inside
                .find(first)
                .ok_or((at, "a quote that is not closed".to_string()))?;
            (Token::Literal(inside[..end].into()), end + 2)
        } else if first.is_ascii_digit() || (first == '.' && digit_follows) {
            let end = rest
                .bytes()
                .take_while(|b| b.is_ascii_digit() || *b == b'.')
                .count();
            let number = rest[..end]
                .parse()
                .map_err(|_| (at, "not a number".to_string()))?;
            (Token::Number(number), end)
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .char_indices()
                .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
                .map_or(rest.len(), |(end, _)| end);
            (Token::Name(rest[..end].into()), end)
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol = symbol.ok_or((at, format!("unexpected `{first}`")))?;
            (Token::Symbol(symbol), symbol.len())
        };
        out.push((at, token));
        at += rest[..bytes].chars().count();
        rest = &rest[bytes..];
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.next + ahead).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(0), Some(Token::Symbol(s)) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(0), Some(Token::Name(name)) if name == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), Problem> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err((self.at(), format!("`{symbol}` expected")))
        }
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.at(), "nested too deep".into()));
        }
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut left = self.comparison()?;
        while self.take_word("and") {
            left = Expr::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, Problem> {
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("=", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let mut left = self.sum()?;
        while let Some((_, comparison)) = COMPARISONS.iter().find(|(symbol, _)| self.take(symbol)) {
            left = Expr::Compare(*comparison, Box::new(left), Box::new(self.sum()?));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr, Problem> {
        let mut left = self.unary()?;
        loop {
            if self.take("+") {
                left = Expr::Sum(Box::new(left), Box::new(self.unary()?));
            } else if self.take("-") {
                left = Expr::Difference(Box::new(left), Box::new(self.unary()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        let mut negative = false;
        while self.take("-") {
            negative = !negative;
        }
        let inner = self.union()?;
        Ok(if negative {
            Expr::Negative(Box::new(inner))
        } else {
            inner
        })
    }

    fn union(&mut self) -> Result<Expr, Problem> {
        let mut left = self.path()?;
        while self.take("|") {
            left = Expr::Union(Box::new(left), Box::new(self.path()?));
        }
        Ok(left)
    }

    fn path(&mut self) -> Result<Expr, Problem> {
        let calls = matches!(self.peek(0), Some(Token::Name(name)) if name != "node")
            && self.peek(1) == Some(&Token::Symbol("("));
        let primary = match self.peek(0) {
            Some(Token::Literal(text)) => Some(Expr::Literal(text.clone())),
            Some(Token::Number(number)) => Some(Expr::Number(*number)),
            _ => None,
        };
        let primary = if primary.is_some() {
            self.next += 1;
            primary
        } else if self.take("(") {
            let inner = self.or()?;
            self.expect(")")?;
            Some(inner)
        } else if calls {
            Some(self.call()?)
        } else {
            None
        };
        if let Some(primary) = primary {
            let predicates = self.predicates()?;
            let mut steps = Vec::new();
            if self.take("/") {
                self.steps(&mut steps)?;
            } else if self.take("//") {
                steps.push(any_below());
                self.steps(&mut steps)?;
            }
            return Ok(if predicates.is_empty() && steps.is_empty() {
                primary
            } else {
                Expr::Filter(Box::new(primary), predicates, steps)
            });
        }
        let mut steps = Vec::new();
        let absolute = if self.take("//") {
            steps.push(any_below());
            self.steps(&mut steps)?;
            true
        } else if self.take("/") {
            if self.begins_step() {
                self.steps(&mut steps)?;
            }
            true
        } else {
            self.steps(&mut steps)?;
            false
        };
        Ok(Expr::Path { absolute, steps })
    }

    fn begins_step(&self) -> bool {
        matches!(
            self.peek(0),
            Some(Token::Name(_) | Token::Symbol("." | ".." | "@" | "*"))
        )
    }

    fn steps(&mut self, steps: &mut Vec<Step>) -> Result<(), Problem> {
        loop {
            steps.push(self.step()?);
            if self.take("//") {
                steps.push(any_below());
            } else if !self.take("/") {
                return Ok(());
            }
        }
    }

    fn step(&mut self) -> Result<Step, Problem> {
        if self.take(".") {
            return Ok(Step {
                axis: Axis::SelfNode,
                test: Test::Any,
                predicates: Vec::new(),
            });
        }
        if self.take("..") {
            return Ok(Step {
                axis: Axis::Parent,
                test: Test::Any,
                predicates: Vec::new(),
            });
        }
        let mut axis = Axis::Child;
        if self.take("@") {
            axis = Axis::Attribute;
        } else if let Some(Token::Name(name)) = self.peek(0)
            && self.peek(1) == Some(&Token::Symbol("::"))
        {
            let known = AXES.iter().find(|(known, _)| known == name);
            axis = known.ok_or((self.at(), format!("no axis `{name}`")))?.1;
            self.next += 2;
        }
        let at = self.at();
        let test = if self.take("*") {
            Test::Named
        } else if let Some(Token::Name(name)) = self.peek(0).cloned() {
            self.next += 1;
            if self.take("(") {
                self.expect(")")?;
                if name != "node" {
                    return Err((at, format!("`{name}()` is not supported")));
                }
                Test::Any
            } else {
                Test::Name(name)
            }
        } else {
            return Err((at, "an element, `*` or `@attribute` expected".into()));
        };
        Ok(Step {
            axis,
            test,
            predicates: self.predicates()?,
        })
    }

    fn predicates(&mut self) -> Result<Vec<Expr>, Problem> {
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.or()?);
            self.expect("]")?;
        }
        Ok(predicates)
    }

    fn call(&mut self) -> Result<Expr, Problem> {
        let at = self.at();
        let Some(Token::Name(name)) = self.peek(0).cloned() else {
            return Err((at, "a function expected".into()));
        };
        self.next += 2;
        let known = FUNCTIONS.iter().find(|(known, ..)| *known == name);
        let (_, function, least, most) =
            *known.ok_or((at, format!("function `{name}` is not supported")))?;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.or()?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if !(least..=most).contains(&arguments.len()) {
            return Err((at, format!("`{name}` with {} arguments", arguments.len())));
        }
        Ok(Expr::Call(function, arguments))
    }
}

fn any_below() -> Step {
    Step {
        axis: Axis::DescendantOrSelf,
        test: Test::Any,
        predicates: Vec::new(),
    }
}

impl Expr {
    /// Whether its value as a predicate could depend on the place among the other candidates.
    pub(super) fn is_positional(&self) -> bool {
        self.is_number() || self.asks_position()
    }

    fn is_number(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Sum(..) | Expr::Difference(..) | Expr::Negative(_) => true,
            Expr::Call(function, _) => matches!(
                function,
                Function::Last
                    | Function::Position
                    | Function::Count
                    | Function::StringLength
                    | Function::Number
            ),
            _ => false,
        }
    }

    fn asks_position(&self) -> bool {
        match self {
            Expr::Or(a, b)
            | Expr::And(a, b)
            | Expr::Compare(_, a, b)
            | Expr::Sum(a, b)
            | Expr::Difference(a, b)
            | Expr::Union(a, b) => a.asks_position() || b.asks_position(),
            Expr::Negative(a) => a.asks_position(),
            Expr::Call(function, arguments) => {
                matches!(function, Function::Last | Function::Position)
                    || arguments.iter().any(Expr::asks_position)
            }
            Expr::Filter(a, ..) => a.asks_position(),
            Expr::Literal(_) | Expr::Number(_) | Expr::Path { .. } => false,
        }
    }
}
