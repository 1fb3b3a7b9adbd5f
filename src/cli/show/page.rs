//! Lists in lists, and how they are laid out as text. (spec 4 §3)

/// One line, or a list below a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A line.
    Item(String),
    /// A title and what stands below it; an empty title only indents.
    List(String, Vec<Entry>),
}

/// Text under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Page::default()
    }

    /// What stands on it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The finished text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// True while nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A line without bullet or indentation.
    pub fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// One empty line between what was written and what follows.
    pub fn space(&mut self) {
        if !self.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// An entry at this depth: two blanks for each level and a bullet, except at the top.
    pub fn entry(&mut self, depth: usize, entry: &Entry) {
        match entry {
            Entry::Item(text) => self.bullet(depth, text),
            Entry::List(title, entries) => {
                if !title.is_empty() {
                    self.bullet(depth, &format!("{title}:"));
                }
                for entry in entries {
                    self.entry(depth + 1, entry);
                }
            }
        }
    }

    fn bullet(&mut self, depth: usize, text: &str) {
        if depth > 0 {
            self.text.push_str(&"  ".repeat(depth));
            self.text.push_str("* ");
        }
        self.line(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_indented_below_their_titles() {
        let item = |text: &str| Entry::Item(text.to_owned());
        let inner = Entry::List("Clone Set: c [r]".into(), vec![item("Started: [ n1 ]")]);
        let outer = Entry::List("Full List of Resources".into(), vec![inner, item("r2")]);
        let mut page = Page::new();
        page.entry(0, &outer);
        assert_eq!(
            page.text(),
            "Full List of Resources:\n  * Clone Set: c [r]:\n    * Started: [ n1 ]\n  * r2\n"
        );
    }
}
