//! `try_files`: which of several files answers.

use culvert_engine::template::Template;

/// `try_files`.
#[derive(Debug, Clone)]
pub struct TryFiles {
    /// What is looked for, in order.
    pub candidates: Vec<Candidate>,
    /// What answers where nothing is found.
    pub fallback: Fallback,
}

/// One file or folder that may answer.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its URI, without the slash that asks for a folder.
    pub uri: Template,
    /// Whether it is a folder that is looked for.
    pub folder: bool,
}

/// The last parameter of `try_files`.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// `=code`.
    Status(u16),
    /// A URI with arguments, or `@name`: an internal redirect.
    Target(Template),
}
