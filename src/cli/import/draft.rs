//! The configuration while it is put together from several files.

use std::collections::BTreeMap;

use crate::cli::language::{
    Document, Mode, Object, Place as Section, SyntaxError, parse_statement, statements,
};
use crate::xml::Element;

use super::note::{Broken, Note, Place, Verdict};

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    objects: Vec<Object>,
    places: BTreeMap<String, Place>,
    notes: Vec<Note>,
    steps: Vec<String>,
    /// Where the first came from: what is wrong with all of them together is said there.
    first: Option<Place>,
}

/// What came of the files.
#[derive(Debug)]
pub(crate) struct Import {
    /// The objects, in the order of their files.
    pub(crate) objects: Vec<Object>,
    /// What became of every line.
    pub(crate) notes: Vec<Note>,
    /// What is to be typed beside the configuration, in this order.
    pub(crate) steps: Vec<String>,
    places: BTreeMap<String, Place>,
    first: Option<Place>,
}

impl Draft {
    /// Say once what became of something.
    pub(super) fn note(&mut self, at: &Place, what: impl Into<String>, verdict: Verdict) {
        let note = Note {
            at: at.clone(),
            what: what.into(),
            verdict,
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn became(&mut self, at: &Place, what: impl Into<String>, new: impl Into<String>) {
        self.note(at, what, Verdict::Became(new.into()));
    }

    pub(super) fn not_needed(
        &mut self,
        at: &Place,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.note(at, what, Verdict::NotNeeded(why.into()));
    }

    pub(super) fn nothing(
        &mut self,
        at: &Place,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        self.note(at, what, Verdict::NoEquivalent(instead.into()));
    }

    /// Something to be typed.
    pub(super) fn step(&mut self, step: impl Into<String>) {
        let step = step.into();
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    pub(super) fn object(&mut self, at: &Place, object: Object) {
        self.first.get_or_insert_with(|| at.clone());
        self.places.insert(object.id().to_owned(), at.clone());
        self.objects.push(object);
    }

    /// One statement of the crm shell's language that was made here.
    pub(super) fn statement(&mut self, at: &Place, line: &str) -> Result<(), Broken> {
        let wrong = |error: SyntaxError| {
            let broken = Broken::at(at, format!("{} (in: {line})", error.message));
            broken.cure("give it a plainer name")
        };
        for statement in statements(line).map_err(wrong)? {
            let object = parse_statement(&statement).map_err(wrong)?;
            self.object(at, object);
        }
        Ok(())
    }

    /// Whether an id is taken.
    pub(super) fn is_taken(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// Whether a cluster option was set by a file.
    pub(super) fn has_option(&self, names: &[&str]) -> bool {
        let sets = self
            .objects
            .iter()
            .filter(|object| object.place == Section::Property);
        sets.flat_map(|object| object.element.descendants())
            .any(|pair| pair.get("name").is_some_and(|name| names.contains(&name)))
    }

    /// Whether a file brought a fence device.
    pub(super) fn has_device(&self) -> bool {
        let elements = self
            .objects
            .iter()
            .flat_map(|object| object.element.descendants());
        elements
            .into_iter()
            .any(|it| it.get("class") == Some("stonith"))
    }

    pub(super) fn finish(self) -> Result<Import, Broken> {
        let import = Import {
            objects: self.objects,
            notes: self.notes,
            steps: self.steps,
            places: self.places,
            first: self.first,
        };
        Ok(import)
    }
}

/// A node of which there is nothing to say but its name.
fn is_bare_node(section: Section, element: &Element) -> bool {
    section == Section::Node && !element.has_children()
}

impl Import {
    /// The objects put into a configuration.
    pub(crate) fn put_into(&self, document: &mut Document) -> Result<(), Broken> {
        let mut changed = document.clone();
        changed
            .put_all(self.objects.clone(), Mode::Update)
            .map_err(|error| self.wrong(error))?;
        *document = changed;
        Ok(())
    }

    /// The configuration in the crm shell's language. Nodes are made by joining them, so only those are in it of which
    /// more is said.
    pub(crate) fn text(&self) -> Result<String, Broken> {
        let mut document = Document::new(Element::new("configuration"));
        self.put_into(&mut document)?;
        Ok(document.show(|section, element| !is_bare_node(section, element)))
    }

    /// What does not fit together, said at the line of the object that it is about.
    fn wrong(&self, error: SyntaxError) -> Broken {
        let about = error.message.split(':').next().unwrap_or_default();
        let at = self.places.get(about).or(self.first.as_ref());
        let nowhere = Place::new("import", 0);
        let broken = Broken::at(at.unwrap_or(&nowhere), error.message.clone());
        match error.help {
            Some(help) => broken.cure(help),
            None if error.message.contains("there is no") => broken
                .cure("name the file that defines it, too, or use --apply if the cluster has it"),
            None => broken,
        }
    }

    /// Leave nodes out that are none of these; their names.
    pub(crate) fn keep_nodes(&mut self, known: &[String]) -> Vec<String> {
        let mut unknown = Vec::new();
        self.objects.retain(|object| {
            let stays = object.place != Section::Node || known.iter().any(|it| it == object.id());
            if !stays && object.element.has_children() {
                unknown.push(object.id().to_owned());
            }
            stays
        });
        unknown
    }
}
