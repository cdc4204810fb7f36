//! The page as a person uses it: looks, clicks, types.

use super::base64;
use super::devtools::{DevtoolsError, PATIENCE, Session};
use serde_json::{Value, json};
use std::time::Duration;

/// Evaluated in the page and in its workers; see the file.
pub(super) const SOCKET_SCRIPT: &str = include_str!("socket.js");
/// Evaluated in the page; see the file.
pub(super) const PAGE_SCRIPT: &str = include_str!("page.js");
/// The function through which the scripts above speak to us.
pub(super) const BINDING: &str = "sidetoneDriver";

/// Between two looks for an element that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The call of a script file, which is one function.
pub(super) fn call(script: &str, argument: &Value) -> String {
    // the comment at a file's head would swallow what stands before it
    format!("(\n{script})({argument});")
}

/// A page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) session: Session,
}

/// Why the page did not do as told: a sentence.
type Refused = String;

impl Page {
    /// What an expression gives; a promise is awaited. It has to be JSON.
    ///
    /// # Errors
    /// The exception it threw, or [`DevtoolsError`].
    pub(super) async fn evaluate(&self, expression: &str, patience: Duration) -> Result<Value, Refused> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": false });
        let answer = self.session.call_within("Runtime.evaluate", params, patience).await.map_err(told)?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() {
            return Ok(answer["result"]["value"].clone());
        }
        let words = thrown["exception"]["description"].as_str().or_else(|| thrown["text"].as_str()).unwrap_or_default();
        Err(words.lines().next().unwrap_or_default().to_owned())
    }

    /// Clicks into the middle of an element, as soon as it is there, visible and not covered.
    ///
    /// # Errors
    /// What stood in the way until the patience ended.
    pub(super) async fn click(&self, selector: &str, patience: Duration) -> Result<(), Refused> {
        let (x, y) = self.find(selector, patience).await?;
        for (kind, buttons, count) in [("mouseMoved", 0, 0), ("mousePressed", 1, 1), ("mouseReleased", 0, 1)] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let params =
                json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": count });
            self.session.call("Input.dispatchMouseEvent", params).await.map_err(told)?;
        }
        Ok(())
    }

    /// Clicks into a field and types over what is in it.
    ///
    /// # Errors
    /// As [`Page::click`].
    pub(super) async fn fill(&self, selector: &str, text: &str, patience: Duration) -> Result<(), Refused> {
        self.click(selector, patience).await?;
        let select_all = json!({ "type": "rawKeyDown", "key": "a", "code": "KeyA", "modifiers": 2, "windowsVirtualKeyCode": 65, "commands": ["selectAll"] });
        self.session.call("Input.dispatchKeyEvent", select_all).await.map_err(told)?;
        let up = json!({ "type": "keyUp", "key": "a", "code": "KeyA", "modifiers": 2, "windowsVirtualKeyCode": 65 });
        self.session.call("Input.dispatchKeyEvent", up).await.map_err(told)?;
        self.session.call("Input.insertText", json!({ "text": text })).await.map_err(told)?;
        Ok(())
    }

    /// The middle of an element that can be clicked.
    async fn find(&self, selector: &str, patience: Duration) -> Result<(f64, f64), Refused> {
        let look = format!("({LOOK})({})", json!(selector));
        let mut obstacle = "it was not looked for".to_owned();
        let looking = async {
            loop {
                let seen = self.evaluate(&look, PATIENCE).await?;
                if let (Some(x), Some(y)) = (seen["x"].as_f64(), seen["y"].as_f64()) {
                    return Ok((x, y));
                }
                seen.as_str().unwrap_or("it cannot be found").clone_into(&mut obstacle);
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        match tokio::time::timeout(patience, looking).await {
            Ok(found) => found,
            Err(_) => Err(format!("{selector} of the page cannot be clicked: {obstacle}")),
        }
    }

    /// A picture of what a person sees: a PNG file, and its width and height.
    ///
    /// # Errors
    /// [`DevtoolsError`], or an answer that is no PNG.
    pub(super) async fn screenshot(&self) -> Result<(Vec<u8>, u32, u32), Refused> {
        let params = json!({ "format": "png", "optimizeForSpeed": true });
        let answer = self.session.call("Page.captureScreenshot", params).await.map_err(told)?;
        let png = answer["data"].as_str().and_then(base64::decode).unwrap_or_default();
        let (width, height) = png_size(&png).ok_or("Page.captureScreenshot: the answer is no PNG")?;
        Ok((png, width, height))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: DevtoolsError) -> Refused {
    error.to_string()
}

/// Gives the middle, or what is in the way.
const LOOK: &str = "(selector) => {
  const element = document.querySelector(selector);
  if (!element) return 'there is none';
  element.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: 'instant' });
  const { left, top, width, height } = element.getBoundingClientRect();
  if (width === 0 || height === 0) return 'it is not shown';
  if (element.disabled) return 'it is disabled';
  const [x, y] = [left + width / 2, top + height / 2];
  const over = document.elementFromPoint(x, y);
  if (!over) return 'it is outside the window';
  const label = over.closest('label');
  if (!element.contains(over) && label?.control !== element) {
    return `it is covered by ${over.tagName.toLowerCase()}${over.id ? '#' + over.id : ''}`;
  }
  return { x, y };
}";

/// From the first chunk of the file.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    Some((number(8)?, number(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_file_is_one_function_that_can_be_called() {
        let called = call(SOCKET_SCRIPT, &json!({ "record": true }));
        assert!(called.starts_with("(\n// ") && called.ends_with("}\n)({\"record\":true});"), "{called}");
        for script in [SOCKET_SCRIPT, PAGE_SCRIPT] {
            let code: Vec<_> = script.lines().filter(|line| !line.starts_with("//")).collect();
            assert!(code[0].ends_with("=> {") && code.last() == Some(&"}"));
            assert!(script.contains(BINDING));
        }
    }

    #[test]
    fn the_size_of_a_png() {
        let mut file = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(31, 7).write_to(&mut file, image::ImageFormat::Png).unwrap();
        assert_eq!(png_size(file.get_ref()), Some((31, 7)));
        assert_eq!(png_size(&file.get_ref()[..10]), None);
        assert_eq!(png_size(b"GIF89a"), None);
    }
}
