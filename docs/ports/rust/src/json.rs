//! A JSON reader that is just large enough. With a network, take serde_json instead.

#[derive(Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn parse(text: &str) -> Result<Json, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value()?;
        reader.space();
        if reader.at == text.len() {
            Ok(value)
        } else {
            Err(reader.wrong("the end"))
        }
    }

    /// The member called `key`; `Null` if there is none or this is no object.
    pub fn get(&self, key: &str) -> &Json {
        self.members().iter().find(|(name, _)| name == key).map_or(&Json::Null, |(_, value)| value)
    }

    pub fn members(&self) -> &[(String, Json)] {
        if let Json::Object(members) = self {
            members
        } else {
            &[]
        }
    }

    pub fn items(&self) -> &[Json] {
        if let Json::Array(items) = self {
            items
        } else {
            &[]
        }
    }

    pub fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    pub fn whole(&self) -> Option<u64> {
        if let Json::Number(x) = self {
            Some(*x as u64)
        } else {
            None
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }
}

/// `text` as a JSON string, with its quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, expected: &str) -> String {
        format!("expected {expected} at byte {}", self.at)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_ascii_start().len();
    }

    fn next(&mut self) -> Result<char, String> {
        let c = self.rest().chars().next().ok_or_else(|| self.wrong("more"))?;
        self.at += c.len_utf8();
        Ok(c)
    }

    fn accept(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self) -> Result<Json, String> {
        self.space();
        match self.rest().bytes().next() {
            Some(b'{') => self.list("{", "}", Reader::member).map(Json::Object),
            Some(b'[') => self.list("[", "]", Reader::value).map(Json::Array),
            Some(b'"') => self.string().map(Json::Text),
            _ if self.accept("null") => Ok(Json::Null),
            _ if self.accept("true") => Ok(Json::Bool(true)),
            _ if self.accept("false") => Ok(Json::Bool(false)),
            _ => self.number(),
        }
    }

    fn list<T>(&mut self, open: &str, close: &str, item: fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut items = Vec::new();
        self.accept(open);
        if self.accept(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.accept(close) {
                return Ok(items);
            }
            if !self.accept(",") {
                return Err(self.wrong("a comma"));
            }
        }
    }

    fn member(&mut self) -> Result<(String, Json), String> {
        self.space();
        let key = self.string()?;
        if !self.accept(":") {
            return Err(self.wrong("a colon"));
        }
        Ok((key, self.value()?))
    }

    fn number(&mut self) -> Result<Json, String> {
        let length = self.rest().bytes().take_while(|b| b"+-.0123456789eE".contains(b)).count();
        let number = self.rest()[..length].parse().map_err(|_| self.wrong("a value"))?;
        self.at += length;
        Ok(Json::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.accept("\"") {
            return Err(self.wrong("a string"));
        }
        let mut units = Vec::new(); // UTF-16, in which JSON spells what is beyond its escapes
        loop {
            match self.next()? {
                '"' => return String::from_utf16(&units).map_err(|e| e.to_string()),
                '\\' => units.push(self.escape()?),
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, String> {
        let unit = match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\x08',
            'f' => '\x0c',
            'u' => {
                let digits = self.text.get(self.at..self.at + 4);
                let unit =
                    digits.and_then(|d| u16::from_str_radix(d, 16).ok()).ok_or_else(|| self.wrong("4 digits"))?;
                self.at += 4;
                return Ok(unit);
            }
            c => c,
        };
        Ok(unit as u16)
    }
}
