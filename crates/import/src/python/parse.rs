//! Parses tokens into statements, and expressions into values.

use std::collections::HashMap;

use super::lexer::{LogicalLine, PythonToken, lines};
use super::{Argument, PythonValue, Statement, StatementKind, UnexpectedEnd};

/// Maximum nesting of brackets; far more than settings use.
const DEPTH_MAX: usize = 40;
/// Maximum number of list members.
const MEMBERS_MAX: usize = 70_000;
/// Maximum length of a concatenated string, in bytes.
const JOINED_BYTES_MAX: usize = 4096;
/// Maximum weight of the value of a name: a string weighs its bytes, a list its members. The limit
/// prevents a small file from expanding without bound.
const KNOWN_WEIGHT_MAX: usize = 512;

const TOO_DEEP: &str = "brackets are nested too deeply";
const PROGRAM: &str = "something that only the running program knows";

/// Keywords of statements that are not expressions.
const KEYWORDS: &[&str] = &[
    "import", "from", "def", "class", "if", "elif", "else", "for", "while", "with", "try",
    "except", "finally", "return", "pass", "raise", "global", "nonlocal", "del", "assert", "break",
    "continue", "async", "await", "lambda", "yield", "print", "exec",
];

/// Parses a source into statements.
///
/// # Errors
/// [`UnexpectedEnd`]: it is truncated.
pub(crate) fn read(source: &str) -> Result<Vec<Statement>, UnexpectedEnd> {
    let mut known = HashMap::new();
    let mut statements = Vec::new();
    for line in lines(source)? {
        let kind = kind(&line, &known);
        if let StatementKind::Assign(targets, value) = &kind {
            for target in targets {
                if weight(value) <= KNOWN_WEIGHT_MAX {
                    known.insert(target.clone(), value.clone());
                } else {
                    known.remove(target);
                }
            }
        }
        statements.push(Statement { line: line.number, is_nested: line.is_nested, kind });
    }
    if let Some(Statement { line, kind: StatementKind::Broken(_), .. }) = statements.last() {
        return Err(UnexpectedEnd { line: *line, what: "an incomplete statement" });
    }
    Ok(statements)
}

fn kind(line: &LogicalLine, known: &HashMap<String, PythonValue>) -> StatementKind {
    let broken = line.tokens.iter().find_map(|token| match token {
        PythonToken::Broken(why) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = broken {
        return StatementKind::Broken(why);
    }
    if let Some(PythonToken::Word(word)) = line.tokens.first()
        && KEYWORDS.contains(&word.as_str())
        && !matches!(line.tokens.get(1), Some(PythonToken::Sign("=" | ".")))
    {
        return StatementKind::Program(word.clone());
    }
    let parts = split(&line.tokens);
    let Some((value, targets)) = parts.split_last() else {
        return StatementKind::Program(String::new());
    };
    let mut parser = Parser { tokens: value, at: 0, depth: 0, known };
    let result = parser.whole();
    let value = match result {
        Ok(value) => value,
        Err(ExpressionError::Program) => PythonValue::Other(PROGRAM),
        Err(ExpressionError::Broken(why)) => return StatementKind::Broken(why),
    };
    if targets.is_empty() {
        return match value {
            PythonValue::Call(name, arguments) => StatementKind::Call(name, arguments),
            PythonValue::Name(name) => StatementKind::Program(name),
            value => StatementKind::Value(value),
        };
    }
    let names: Option<Vec<_>> = targets.iter().map(|target| target_name(target)).collect();
    names.map_or_else(
        || StatementKind::Program("=".into()),
        |names| StatementKind::Assign(names, value),
    )
}

/// Splits at `=` outside of brackets.
fn split(tokens: &[PythonToken]) -> Vec<&[PythonToken]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            match token {
                PythonToken::Sign("(" | "[" | "{") => depth += 1,
                PythonToken::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *token == PythonToken::Sign("=")
        })
        .collect()
}

/// The name in `a`, `a.b.c` or `a: int`; `None` for other targets.
fn target_name(tokens: &[PythonToken]) -> Option<String> {
    let mut name = String::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            PythonToken::Word(word) if index % 2 == 0 => name.push_str(word),
            PythonToken::Sign(".") if index % 2 == 1 => name.push('.'),
            PythonToken::Sign(":") if index == 1 => break,
            _ => return None,
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Why an expression cannot be evaluated.
enum ExpressionError {
    /// It is computed at run time.
    Program,
    /// A syntax error.
    Broken(String),
}

struct Parser<'a> {
    tokens: &'a [PythonToken],
    at: usize,
    depth: usize,
    known: &'a HashMap<String, PythonValue>,
}

impl Parser<'_> {
    /// Parses all tokens as one value; commas form a tuple.
    fn whole(&mut self) -> Result<PythonValue, ExpressionError> {
        let first = self.sum()?;
        if !self.takes(",") {
            return if self.peek().is_some() { Err(ExpressionError::Program) } else { Ok(first) };
        }
        let mut members = vec![first];
        while self.peek().is_some() {
            members.push(self.sum()?);
            if !self.takes(",") && self.peek().is_some() {
                return Err(ExpressionError::Program);
            }
        }
        Ok(PythonValue::List(members))
    }

    fn sum(&mut self) -> Result<PythonValue, ExpressionError> {
        let mut left = self.product()?;
        loop {
            if self.takes("+") {
                left = add(left, self.product()?);
            } else if self.takes("-") {
                left = compute(&left, &self.product()?, i128::checked_sub);
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<PythonValue, ExpressionError> {
        let mut left = self.signed()?;
        loop {
            if self.takes("*") {
                left = compute(&left, &self.signed()?, i128::checked_mul);
            } else if self.takes("//") {
                left = compute(&left, &self.signed()?, i128::checked_div_euclid);
            } else if self.takes("/") {
                left = compute(&left, &self.signed()?, exact_quotient);
            } else if self.takes("%") {
                left = compute(&left, &self.signed()?, i128::checked_rem_euclid);
            } else {
                return Ok(left);
            }
        }
    }

    fn signed(&mut self) -> Result<PythonValue, ExpressionError> {
        let mut is_negative = false;
        loop {
            if self.takes("-") {
                is_negative = !is_negative;
            } else if !self.takes("+") {
                break;
            }
        }
        let value = self.deeper(Self::power)?;
        Ok(if is_negative {
            compute(&PythonValue::Number(0), &value, i128::checked_sub)
        } else {
            value
        })
    }

    fn power(&mut self) -> Result<PythonValue, ExpressionError> {
        let base = self.atom()?;
        let base = self.trailers(base)?;
        if !self.takes("**") {
            return Ok(base);
        }
        let exponent = self.signed()?;
        Ok(compute(&base, &exponent, |base, exponent| {
            base.checked_pow(u32::try_from(exponent).ok()?)
        }))
    }

    fn atom(&mut self) -> Result<PythonValue, ExpressionError> {
        let Some(token) = self.tokens.get(self.at) else {
            return Err(ExpressionError::Broken("incomplete expression".into()));
        };
        self.at += 1;
        match token {
            PythonToken::Number(Some(number)) => Ok(PythonValue::Number(*number)),
            PythonToken::Number(None) => Ok(PythonValue::Other("a number with a fraction")),
            PythonToken::Text(text) => {
                let mut joined = text.clone();
                while let Some(PythonToken::Text(next)) = self.tokens.get(self.at) {
                    self.at += 1;
                    joined = joined.zip(next.as_ref()).map(|(joined, next)| joined + next);
                }
                Ok(joined.map_or(PythonValue::Other("a concatenated text"), PythonValue::Text))
            }
            PythonToken::Word(word) => Ok(match word.as_str() {
                "True" => PythonValue::Boolean(true),
                "False" => PythonValue::Boolean(false),
                "None" => PythonValue::None,
                "not" | "lambda" | "await" | "yield" => return Err(ExpressionError::Program),
                _ => PythonValue::Name(word.clone()),
            }),
            PythonToken::Sign("(") => self.list(")"),
            PythonToken::Sign("[") => self.list("]"),
            PythonToken::Sign("{") => self.list("}"),
            PythonToken::Sign("*" | "**" | "~") => Err(ExpressionError::Program),
            PythonToken::Sign(sign) => {
                Err(ExpressionError::Broken(format!("unexpected `{sign}`, expected a value")))
            }
            PythonToken::Broken(why) => Err(ExpressionError::Broken(why.clone())),
        }
    }

    /// The members up to the closing bracket. A single member in parentheses is that member.
    fn list(&mut self, end: &'static str) -> Result<PythonValue, ExpressionError> {
        let mut members = Vec::new();
        let mut is_tuple = end != ")";
        while !self.takes(end) {
            members.push(self.deeper(Self::sum)?);
            if self.takes(",") {
                is_tuple = true;
            } else if !matches!(self.peek(), Some(PythonToken::Sign(sign)) if *sign == end) {
                // A dictionary, a comprehension, a condition.
                return Err(ExpressionError::Program);
            }
            if members.len() > MEMBERS_MAX {
                return Ok(PythonValue::Other("a very long list"));
            }
        }
        match members.pop() {
            Some(only) if !is_tuple && members.is_empty() => Ok(only),
            Some(last) => {
                members.push(last);
                Ok(PythonValue::List(members))
            }
            None => Ok(PythonValue::List(members)),
        }
    }

    /// `.name`, `(arguments)` and `[index]` behind a value.
    fn trailers(&mut self, value: PythonValue) -> Result<PythonValue, ExpressionError> {
        let mut value = value;
        loop {
            if self.takes(".") {
                let Some(PythonToken::Word(word)) = self.tokens.get(self.at) else {
                    return Err(ExpressionError::Broken("missing name after the dot".into()));
                };
                self.at += 1;
                value = match value {
                    PythonValue::Name(name) => PythonValue::Name(format!("{name}.{word}")),
                    _ => PythonValue::Other(PROGRAM),
                };
            } else if self.takes("(") {
                let arguments = self.arguments()?;
                value = match value {
                    PythonValue::Name(name) => called(name, arguments),
                    _ => PythonValue::Other(PROGRAM),
                };
            } else if self.takes("[") {
                let index = self.deeper(|parser| parser.list("]"))?;
                value = member(&self.looked_up(value), &index);
            } else {
                return Ok(self.looked_up(value));
            }
        }
    }

    /// The literal that was assigned to a name, if any.
    fn looked_up(&self, value: PythonValue) -> PythonValue {
        match &value {
            PythonValue::Name(name) => match self.known.get(name) {
                Some(PythonValue::Call(..)) | None => value,
                Some(known) => known.clone(),
            },
            _ => value,
        }
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, ExpressionError> {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            let name = match (self.tokens.get(self.at), self.tokens.get(self.at + 1)) {
                (Some(PythonToken::Word(name)), Some(PythonToken::Sign("="))) => {
                    self.at += 2;
                    Some(name.clone())
                }
                _ => None,
            };
            let value = self.deeper(Self::sum)?;
            arguments.push(Argument { name, value });
            if !self.takes(",") && !matches!(self.peek(), Some(PythonToken::Sign(")"))) {
                return Err(ExpressionError::Program);
            }
            if arguments.len() > MEMBERS_MAX {
                return Err(ExpressionError::Program);
            }
        }
        Ok(arguments)
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<PythonValue, ExpressionError>,
    ) -> Result<PythonValue, ExpressionError> {
        if self.depth == DEPTH_MAX {
            return Err(ExpressionError::Broken(TOO_DEEP.into()));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn peek(&self) -> Option<&PythonToken> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Some(PythonToken::Sign(found)) if *found == sign);
        self.at += usize::from(is_it);
        is_it
    }
}

fn weight(value: &PythonValue) -> usize {
    match value {
        PythonValue::Text(text) | PythonValue::Name(text) => text.len(),
        PythonValue::List(members) => members.iter().map(|member| 16 + weight(member)).sum(),
        PythonValue::Call(..) => KNOWN_WEIGHT_MAX + 1,
        _ => 0,
    }
}

/// Evaluates calls with a result that is known without executing code.
fn called(name: String, arguments: Vec<Argument>) -> PythonValue {
    let values: Vec<_> = arguments.iter().map(|argument| &argument.value).collect();
    match (name.as_str(), values.as_slice()) {
        ("range" | "xrange", [PythonValue::Number(from), PythonValue::Number(to)]) => {
            PythonValue::Range(*from, *to)
        }
        ("int", [PythonValue::Number(number)]) => PythonValue::Number(*number),
        ("int", [PythonValue::Text(text)]) => match text.trim().parse() {
            Ok(number) => PythonValue::Number(number),
            Err(_) => PythonValue::Call(name, arguments),
        },
        ("str", [PythonValue::Text(text)]) => PythonValue::Text(text.clone()),
        ("str", [PythonValue::Number(number)]) => PythonValue::Text(number.to_string()),
        ("list" | "tuple", [inner @ (PythonValue::List(_) | PythonValue::Range(..))]) => {
            (*inner).clone()
        }
        _ => PythonValue::Call(name, arguments),
    }
}

/// Evaluates `list[index]`.
fn member(value: &PythonValue, index: &PythonValue) -> PythonValue {
    let (PythonValue::List(members), PythonValue::List(index)) = (value, index) else {
        return PythonValue::Other(PROGRAM);
    };
    let [PythonValue::Number(index)] = index.as_slice() else { return PythonValue::Other(PROGRAM) };
    let found = usize::try_from(*index).ok().and_then(|index| members.get(index));
    found.cloned().unwrap_or(PythonValue::Other(PROGRAM))
}

fn add(left: PythonValue, right: PythonValue) -> PythonValue {
    match (left, right) {
        (PythonValue::Text(left), PythonValue::Text(right))
            if left.len() + right.len() <= JOINED_BYTES_MAX =>
        {
            PythonValue::Text(left + &right)
        }
        (PythonValue::List(left), PythonValue::List(right))
            if left.len() + right.len() <= MEMBERS_MAX =>
        {
            PythonValue::List(left.into_iter().chain(right).collect())
        }
        (left, right) => compute(&left, &right, i128::checked_add),
    }
}

fn compute(
    left: &PythonValue,
    right: &PythonValue,
    kind: impl Fn(i128, i128) -> Option<i128>,
) -> PythonValue {
    let (PythonValue::Number(left), PythonValue::Number(right)) = (left, right) else {
        return PythonValue::Other("a computation with values other than numbers");
    };
    kind(*left, *right).map_or(
        PythonValue::Other("a computation without an integer as its result"),
        PythonValue::Number,
    )
}

fn exact_quotient(left: i128, right: i128) -> Option<i128> {
    left.checked_rem(right).filter(|rest| *rest == 0).and_then(|_| left.checked_div(right))
}
