//! Where each participant's tile goes.

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Columns from the left edge.
    pub x: u16,
    /// Rows from the top.
    pub y: u16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl Rect {
    /// From its position and size.
    pub const fn new(x: u16, y: u16, width: u16, height: u16) -> Self {
        Self { x, y, width, height }
    }

    /// The part of a tile for the picture: all but the last row, unless there is only one.
    #[must_use]
    pub fn picture(self) -> Self {
        Self { height: if self.height > 1 { self.height - 1 } else { self.height }, ..self }
    }

    /// Places for a 4:3 picture in the middle of a tile and for the name right under it: cells are twice as high as wide.
    #[must_use]
    pub fn fitted(self) -> (Self, Self) {
        let (picture, label) = (self.picture(), self.label());
        let wanted = (u32::from(self.width) * 3).div_ceil(8);
        let height = u16::try_from(wanted).unwrap_or(u16::MAX).clamp(1, picture.height.max(1)).min(picture.height);
        let y = picture.y + (picture.height - height) / 2;
        (Self { y, height, ..picture }, Self { y: y + height, ..label })
    }

    /// The part of a tile for the name: its last row; of height 0 if the tile is one row high.
    #[must_use]
    pub fn label(self) -> Self {
        let height = u16::from(self.height > 1);
        Self { y: self.y + (self.height - height), height, ..self }
    }
}

/// Tiles for `count` participants that fill a terminal, row after row from the top left, with 4:3 pictures as large as
/// possible and a line for the name under each ([`Rect::picture`], [`Rect::label`]). Tiles of a last row that is not full
/// stand in its middle. A terminal with fewer cells than participants gets a tile for each cell.
pub fn layout(count: usize, columns: u16, rows: u16) -> Vec<Rect> {
    let count = count.min(usize::from(columns) * usize::from(rows));
    let best = (1..=columns)
        .take(count)
        .filter_map(|across| {
            let down = u16::try_from(count.div_ceil(usize::from(across))).ok().filter(|&down| down <= rows)?;
            Some((picture_size(columns / across, rows / down), across, down))
        })
        // Of equal sizes the one with fewer empty places, then with fewer columns.
        .max_by_key(|&(size, across, down)| {
            let empty = usize::from(across) * usize::from(down) - count;
            (size, std::cmp::Reverse((empty, across)))
        });
    let Some((_, across, down)) = best else { return Vec::new() };
    (0..down).flat_map(|row| tiles_of_row(row, (across, down), count, (columns, rows))).collect()
}

/// Area of a 4:3 picture in a tile; only its order matters. A tile without room for a label is worse than any with.
fn picture_size(width: u16, height: u16) -> (bool, u64) {
    let labelled = height > 1;
    let (width, height) = (u64::from(width), u64::from(height - u16::from(labelled)) * 2);
    // Twelve times the side of the unit of which a picture is four wide and three high.
    let unit = (3 * width).min(4 * height);
    (labelled, unit * unit)
}

fn tiles_of_row(row: u16, (across, down): (u16, u16), count: usize, size: (u16, u16)) -> Vec<Rect> {
    let before = usize::from(row) * usize::from(across);
    let here = u16::try_from(count.saturating_sub(before)).unwrap_or(u16::MAX).min(across);
    let (y, height) = part(size.1, down, row);
    let edge = |index: u16| part(size.0, across, index).0;
    let last = edge(here - here.min(1)) + part(size.0, across, here.saturating_sub(1)).1;
    let shift = if here < across { (size.0 - last) / 2 } else { 0 };
    (0..here)
        .map(|index| {
            let (x, width) = part(size.0, across, index);
            Rect { x: x + shift, y, width, height }
        })
        .collect()
}

/// Start and length of part `index` of `total` divided into `parts`, which differ by at most one.
fn part(total: u16, parts: u16, index: u16) -> (u16, u16) {
    let edge = |index: u16| u32::from(total) * u32::from(index) / u32::from(parts.max(1));
    let (start, end) = (edge(index), edge(index + 1));
    (u16::try_from(start).unwrap_or(u16::MAX), u16::try_from(end - start).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_right_under_its_picture() {
        let (picture, label) = Rect::new(5, 2, 40, 30).fitted();
        assert_eq!((picture, label), (Rect::new(5, 9, 40, 15), Rect::new(5, 24, 40, 1)));
        for tile in [Rect::new(0, 0, 1, 1), Rect::new(0, 0, 200, 3), Rect::new(3, 4, 7, 2), Rect::new(0, 0, 0, 0)] {
            let (picture, label) = tile.fitted();
            assert!(
                picture.y >= tile.y && label.y + label.height <= tile.y + tile.height,
                "{tile:?} {picture:?} {label:?}"
            );
        }
    }
    use proptest::prelude::*;

    #[test]
    fn one_fills_the_terminal_and_two_stand_side_by_side() {
        assert_eq!(layout(1, 80, 24), [Rect::new(0, 0, 80, 24)]);
        assert_eq!(layout(2, 80, 24), [Rect::new(0, 0, 40, 24), Rect::new(40, 0, 40, 24)]);
        assert_eq!(layout(2, 40, 50), [Rect::new(0, 0, 40, 25), Rect::new(0, 25, 40, 25)]);
        assert_eq!(layout(0, 80, 24), []);
        assert_eq!(layout(3, 0, 24), []);
        assert_eq!(layout(5, 1, 1), [Rect::new(0, 0, 1, 1)]);
    }

    #[test]
    fn a_short_last_row_is_centred() {
        let tiles = layout(3, 80, 40);
        assert_eq!(tiles, [Rect::new(0, 0, 40, 20), Rect::new(40, 0, 40, 20), Rect::new(20, 20, 40, 20)]);
    }

    #[test]
    fn a_tile_has_a_picture_above_a_label() {
        let tile = Rect::new(3, 4, 20, 10);
        assert_eq!((tile.picture(), tile.label()), (Rect::new(3, 4, 20, 9), Rect::new(3, 13, 20, 1)));
        let low = Rect::new(0, 0, 5, 1);
        assert_eq!((low.picture(), low.label()), (low, Rect::new(0, 1, 5, 0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn tiles_are_inside_and_never_overlap(count in 1_usize..=64, columns in 1_u16..=500, rows in 1_u16..=200) {
            check(count, columns, rows)?;
        }

        #[test]
        fn nor_in_a_small_terminal(count in 1_usize..=64, columns in 1_u16..=20, rows in 1_u16..=10) {
            check(count, columns, rows)?;
        }
    }

    fn check(count: usize, columns: u16, rows: u16) -> Result<(), TestCaseError> {
        let tiles = layout(count, columns, rows);
        prop_assert_eq!(tiles.len(), count.min(usize::from(columns) * usize::from(rows)));
        let mut taken = vec![false; usize::from(columns) * usize::from(rows)];
        for tile in &tiles {
            prop_assert!(tile.width > 0 && tile.height > 0);
            prop_assert!(tile.x + tile.width <= columns && tile.y + tile.height <= rows, "{:?}", tile);
            for (x, y) in
                (tile.y..tile.y + tile.height).flat_map(|y| (tile.x..tile.x + tile.width).map(move |x| (x, y)))
            {
                let cell = &mut taken[usize::from(y) * usize::from(columns) + usize::from(x)];
                prop_assert!(!*cell, "overlap at {},{}", x, y);
                *cell = true;
            }
        }
        Ok(())
    }
}
