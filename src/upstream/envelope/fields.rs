//! Walks over the fields of a text that is JSON, or was meant to be.
//!
//! A body may be cut off, hold a raw line break or go on after its end. A strict parser gives up there,
//! and with it what stood before; this walk goes on. It does not recurse, and its work grows with the
//! length of the text alone.

use std::borrow::Cow;

/// `"key": value`, where the value is no object and no list. Both were read to their end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Value<'a>,
    /// In how many objects and lists it stands.
    pub(super) depth: usize,
    /// The object that it stands in, by its number in the text.
    pub(super) object: usize,
}

/// What a key is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string, without its quotes and escapes.
    Text(Cow<'a, str>),
    /// Anything else: a number, `true`, `false`, `null`, or what is not JSON.
    Word(&'a str),
}

/// The fields of a text in their order.
pub(super) fn fields(text: &str) -> Fields<'_> {
    Fields {
        rest: text,
        open: Vec::new(),
        opened: 0,
        string: None,
        key: None,
    }
}

/// See [`fields`].
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a str,
    /// The objects and lists that are open, by their numbers.
    open: Vec<usize>,
    opened: usize,
    /// The string before, which is a key if a colon follows.
    string: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let value = match self.rest.as_bytes().first()? {
                b'"' => {
                    let string = self.string()?;
                    if self.key.is_none() {
                        self.string = Some(string);
                        continue;
                    }
                    unescaped(string).map(Value::Text)
                }
                mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':') => {
                    self.pass(*mark);
                    continue;
                }
                _ => Some(Value::Word(self.word()?)),
            };
            let key = self.key.take().and_then(unescaped);
            if let (Some(key), Some(value)) = (key, value) {
                return Some(Field {
                    key,
                    value,
                    depth: self.open.len(),
                    object: self.open.last().copied().unwrap_or_default(),
                });
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// Goes past a mark that stands between strings and words.
    fn pass(&mut self, mark: u8) {
        self.rest = &self.rest[1..];
        self.key = match mark {
            b':' => self.string,
            _ => None,
        };
        self.string = None;
        match mark {
            b'{' | b'[' => {
                self.opened += 1;
                self.open.push(self.opened);
            }
            b'}' | b']' => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// Takes a string, still with its escapes; `None` if it does not end.
    fn string(&mut self) -> Option<&'a str> {
        let mut escaped = false;
        let length = self.rest[1..].bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let string = &self.rest[1..=length];
        self.rest = &self.rest[length + 2..];
        Some(string)
    }

    /// Takes what is no string; `None` if the text ends with it, as a number may then lack its rest.
    fn word(&mut self) -> Option<&'a str> {
        let ends = |c: char| c.is_whitespace() || "{}[],:\"".contains(c);
        let (word, rest) = self.rest.split_at(self.rest.find(ends)?);
        self.rest = rest;
        Some(word)
    }
}

/// A string without its escapes; `None` if they make no text.
fn unescaped(string: &str) -> Option<Cow<'_, str>> {
    if !string.contains('\\') {
        return Some(string.into());
    }
    let strict = format!("\"{}\"", string.replace(char::is_control, " "));
    serde_json::from_str(&strict).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str) -> Vec<(String, String, usize, usize)> {
        fields(text)
            .map(|field| {
                let value = match field.value {
                    Value::Text(text) => format!("'{text}'"),
                    Value::Word(word) => word.to_owned(),
                };
                (field.key.into_owned(), value, field.depth, field.object)
            })
            .collect()
    }

    #[test]
    fn each_field_is_found_with_the_object_that_it_stands_in() {
        let text = r#" { "a" : 1, "b":{"c":"x","d":[{"e":true},"f",{"g":null}]}, "h":-1.5e3} "#;
        let expected = [
            ("a", "1", 1, 1),
            ("c", "'x'", 2, 2),
            ("e", "true", 4, 4),
            ("g", "null", 4, 5),
            ("h", "-1.5e3", 1, 1),
        ];
        let expected = expected
            .map(|(key, value, depth, object)| (key.to_owned(), value.to_owned(), depth, object));
        assert_eq!(walk(text), expected);
    }

    #[test]
    fn what_is_no_json_hides_no_field_that_was_read_whole() {
        for (text, expected) in [
            (r#"{"a":"x","b":"y"#, r#"a='x'"#),
            (r#"{"a":"x","b":12"#, r#"a='x'"#),
            (r#"{"a":"x","b""#, r#"a='x'"#),
            (r#"{"a":12,"#, "a=12"),
            (r#"{"a":"x"}}}]{"b":1}"#, "a='x' b=1"),
            (r#"{"a":"x",,"b" 1 "c":2}"#, "a='x' c=2"),
            (r#"{"a":"it "is" so","b":"y"}"#, "a='it ' b='y'"),
            ("{\"a\":\"one\ntwo\",\"b\":\"y\"}", "a='one\ntwo' b='y'"),
            (r#"{"a":"\ud800","b":"y"}"#, "b='y'"),
            (
                "{\"a\":\"\\u0041\n\\\"\",\"b\":\"\\\\\"}",
                "a='A \"' b='\\'",
            ),
            (r#"{"\u0061":1}"#, "a=1"),
            (r#"{"a":NaN,"b":1e999}"#, "a=NaN b=1e999"),
            (r#"callback({"a":"x"});"#, "a='x'"),
            (r#""a":"x""#, "a='x'"),
            ("{\"a\": 12 ,\"b\":true\n}", "a=12 b=true"),
            (r#"{"a",:1}"#, ""),
            ("", ""),
            ("\"", ""),
            ("\\", ""),
            ("{", ""),
            (r#"{"é":"ü"}"#, "é='ü'"),
        ] {
            let found: Vec<_> = walk(text)
                .into_iter()
                .map(|(key, value, ..)| format!("{key}={value}"))
                .collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn nesting_of_any_depth_is_walked() {
        let deep = format!(
            "{}\"a\":1{}",
            "{\"x\":[".repeat(10_000),
            "]}".repeat(10_000)
        );
        assert_eq!(
            walk(&deep),
            [("a".to_owned(), "1".to_owned(), 20_000, 20_000)]
        );
    }
}
