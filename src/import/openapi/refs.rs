//! References within a document: `{ $ref: '#/components/parameters/id' }`.

use super::document::{Document, Entry, Node, find};

/// Longest chain of references, and deepest pointer. Real ones have two links and six steps.
const STEPS_MAX: usize = 16;

impl<'d> Document<'d> {
    /// The entries of a mapping, or of what it refers to with its own after them; nothing if it is no
    /// mapping.
    ///
    /// # Errors
    ///
    /// What is wrong with the reference: one sentence.
    pub(super) fn resolved(&self, node: Node<'d>) -> Result<Option<Vec<Entry<'d>>>, String> {
        let mut node = node;
        let mut own = Vec::new();
        for _ in 0..STEPS_MAX {
            let Some(mut entries) = self.entries(node) else {
                return Ok(None);
            };
            let reference = find(&entries, "$ref").and_then(|it| self.text(it));
            entries.retain(|entry| entry.key != "$ref");
            entries.append(&mut own);
            let Some(reference) = reference else {
                return Ok(Some(entries));
            };
            own = entries;
            node = self.target(&reference)?;
        }
        Err("the `$ref` goes in circles".to_owned())
    }

    fn target(&self, reference: &str) -> Result<Node<'d>, String> {
        let shown = crate::yaml::quoted(reference).to_string();
        let Some(pointer) = reference.strip_prefix("#/") else {
            return Err(format!(
                "the `$ref` {shown} leads out of the document: bundle it into one file first"
            ));
        };
        if pointer.split('/').count() > STEPS_MAX {
            return Err(format!(
                "the `$ref` {shown} goes deeper than {STEPS_MAX} steps"
            ));
        }
        let mut node = self.root();
        for step in pointer.split('/') {
            let step = percent_encoding::percent_decode_str(step).decode_utf8_lossy();
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = self.get(node, &step).or_else(|| {
                let items = self.items(node)?;
                items.get(step.parse::<usize>().ok()?).copied()
            });
            node = next.ok_or_else(|| format!("the `$ref` {shown} leads nowhere"))?;
        }
        Ok(node)
    }
}
