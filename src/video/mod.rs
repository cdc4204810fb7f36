//! Pictures: from pixels to JPEG and to the cells of a terminal. PURE.
//!
//! ```text
//! Picture -> jpeg::encode -> (the wire) -> jpeg::decode -> Picture -> ascii::render -> Cells
//!                                           grid::layout -> Rect ... Canvas::set_picture, set_text
//!                                                                    screen::diff -> what the terminal gets
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`picture`] | RGB pixels, scaling |
//! | [`jpeg`] | encodes within the limits of the wire, checks, decodes; loads a user's file |
//! | [`pattern`] | moving test pictures that tell whose they are |
//! | [`color`] | what colours a terminal has, and the fewest escape sequences to select them |
//! | [`ascii`] | a picture as terminal cells |
//! | [`grid`] | where each participant's tile goes |
//! | [`text`] | how wide characters are, and which of them are safe to show |
//! | [`screen`] | a canvas of cells, and the changed cells as escape sequences |
//! | [`ssim`] | how alike two pictures look |

pub mod ascii;
pub mod color;
pub mod grid;
pub mod jpeg;
pub mod pattern;
pub mod picture;
pub mod screen;
pub mod ssim;
pub mod text;

pub use ascii::{Cell, Cells, Palette};
pub use color::{ColorMode, Rgb};
pub use grid::Rect;
pub use picture::{Picture, PictureError};
pub use screen::{Canvas, Style};
