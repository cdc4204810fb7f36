//! What the browser's fake devices play: a WAV file for the microphone, a Y4M file for the camera.

use sidetone::audio::SAMPLE_RATE;
use sidetone::device::microphone::read_wav;
use sidetone::device::{CameraSpec, DeviceError, MicrophoneSpec, microphone, speaker};
use sidetone::video::{Picture, jpeg, pattern};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The browser plays a file again from its start and leaves a gap of a millisecond there: longer than most calls.
const TONE_SECONDS: usize = 120;
/// Within the file a piece of this length is repeated, and that without any gap.
const PIECE_SECONDS: f64 = 4.0;
/// Silence needs no length.
const SILENCE_SECONDS: usize = 2;
/// Silence before a file's sound: the page opens the microphone before it is in the room.
const LEAD: Duration = Duration::from_secs(1);
/// Silence after a file's sound, in samples: the browser repeats the last hundredth of a second for ever.
const TRAIL: usize = SAMPLE_RATE as usize / 2;
/// Pictures of the test pattern in a file: after so many the ball is at the same height again, and it jumps sideways.
const PATTERN_FRAMES: u64 = 88;
/// Pictures a second of the fake camera, as most real ones have.
const FRAME_RATE: u32 = 30;

/// The files of the fake devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Devices {
    /// For `--use-file-for-fake-audio-capture`, its `%noloop` included.
    pub(super) microphone: String,
    /// For `--use-file-for-fake-video-capture`; none: no camera is wanted.
    pub(super) camera: Option<PathBuf>,
}

impl Devices {
    /// Where [`write`] puts them: the browser may be started before they are there.
    pub(super) fn within(folder: &Path, microphone: &MicrophoneSpec, camera: &CameraSpec) -> Self {
        let once = if matches!(microphone, MicrophoneSpec::Wav(_)) { "%noloop" } else { "" };
        let sound = folder.join("microphone.wav");
        Self {
            microphone: format!("{}{once}", sound.display()),
            camera: (*camera != CameraSpec::None).then(|| folder.join("camera.y4m")),
        }
    }
}

/// Writes the files into `folder`. `name`: whose test pattern; `lobby`: how long the page stays in its lobby.
///
/// # Errors
/// A source that cannot be read, or a file that cannot be written.
pub(super) fn write(
    folder: &Path,
    microphone: &MicrophoneSpec,
    camera: &CameraSpec,
    name: &str,
    lobby: Duration,
) -> Result<(), DeviceError> {
    let samples = sound(microphone, lobby)?;
    let path = folder.join("microphone.wav");
    let failed = |error: io::Error| DeviceError::File { path: path.clone(), error };
    if let Some(mut file) = speaker::open(&speaker::SpeakerSpec::Wav(path.clone()))? {
        file.play(&samples).map_err(failed)?;
        file.finish().map_err(failed)?;
    }
    let path = folder.join("camera.y4m");
    let failed = |error: io::Error| DeviceError::File { path: path.clone(), error };
    match camera {
        CameraSpec::TestPattern => {
            y4m(&path, (0..PATTERN_FRAMES).map(|n| pattern::test_pattern(name, n))).map_err(failed)
        }
        CameraSpec::Image(image) => {
            let bytes = std::fs::read(image).map_err(|error| DeviceError::File { path: image.clone(), error })?;
            let broken = |reason: String| DeviceError::Content { path: image.clone(), reason };
            let picture = jpeg::load(&bytes).map_err(|error| broken(error.to_string()))?;
            y4m(&path, std::iter::once(picture)).map_err(failed)
        }
        CameraSpec::None => Ok(()),
    }
}

/// 48 kHz mono.
fn sound(spec: &MicrophoneSpec, lobby: Duration) -> Result<Vec<f32>, DeviceError> {
    let rate = SAMPLE_RATE as usize;
    Ok(match spec {
        MicrophoneSpec::Tone(hz) => {
            let mut piece = vec![0.0; whole_periods(*hz)];
            if let Some(mut tone) = microphone::open(spec)? {
                tone.fill(&mut piece);
            }
            piece.repeat(TONE_SECONDS * rate / piece.len().max(1))
        }
        MicrophoneSpec::Wav(path) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds of samples")]
            let lead = ((LEAD + lobby).as_secs_f64() * f64::from(SAMPLE_RATE)) as usize;
            let mut samples = vec![0.0; lead];
            samples.extend(read_wav(path)?);
            samples.extend(vec![0.0; TRAIL]);
            samples
        }
        MicrophoneSpec::Silence | MicrophoneSpec::None => vec![0.0; SILENCE_SECONDS * rate],
    })
}

/// A number of samples, some seconds, after which a tone of `hz` begins its period again as exactly as a whole number of
/// samples can tell.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands of samples")]
fn whole_periods(hz: f64) -> usize {
    let period = f64::from(SAMPLE_RATE) / hz;
    let most = (PIECE_SECONDS * hz).floor() as u32;
    let off = |periods: u32| {
        let samples = f64::from(periods) * period;
        (samples - samples.round()).abs()
    };
    let best = (most / 4..=most).min_by(|a, b| off(*a).total_cmp(&off(*b)));
    (f64::from(best.unwrap_or(1)) * period).round() as usize
}

/// Writes YUV 4:2:0 in the range of television (BT.601), as cameras give it.
fn y4m(path: &Path, pictures: impl Iterator<Item = Picture>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (number, picture) in pictures.enumerate() {
        let (width, height) = (picture.width() & !1, picture.height() & !1); // the format has no odd sizes
        if number == 0 {
            writeln!(file, "YUV4MPEG2 W{width} H{height} F{FRAME_RATE}:1 Ip A1:1 C420jpeg")?;
        }
        file.write_all(b"FRAME\n")?;
        file.write_all(&i420(&picture, width as usize, height as usize))?;
    }
    file.flush()
}

fn i420(picture: &Picture, width: usize, height: usize) -> Vec<u8> {
    let stride = picture.width() as usize * 3;
    let rgb = |x: usize, y: usize| {
        let at = y * stride + x * 3;
        [0, 1, 2].map(|i| i32::from(picture.rgb().get(at + i).copied().unwrap_or(0)))
    };
    let byte = |value: i32| u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX);
    let mut planes = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        planes.extend((0..width).map(|x| {
            let [r, g, b] = rgb(x, y);
            byte(((66 * r + 129 * g + 25 * b + 128) >> 8) + 16)
        }));
    }
    for [red, green, blue] in [[-38, -74, 112], [112, -94, -18]] {
        for y in (0..height).step_by(2) {
            planes.extend((0..width).step_by(2).map(|x| {
                let four = [rgb(x, y), rgb(x + 1, y), rgb(x, y + 1), rgb(x + 1, y + 1)];
                let [r, g, b] = [0, 1, 2].map(|i| four.iter().map(|p| p[i]).sum::<i32>());
                byte(((red * r + green * g + blue * b + 512) >> 10) + 128)
            }));
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sidetone::video::color::Rgb;

    #[test]
    fn a_tone_that_is_played_again_has_no_seam() {
        for hz in [440.0, 660.0, 1_000.0, 523.251, 20.0, 19_999.9] {
            let samples = sound(&MicrophoneSpec::Tone(hz), Duration::ZERO).unwrap();
            let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
            assert!((110.0..=120.0).contains(&seconds), "{hz}: {seconds} s");
            let periods = whole_periods(hz) as f64 * hz / f64::from(SAMPLE_RATE);
            let off = (periods - periods.round()).abs() * f64::from(SAMPLE_RATE) / hz;
            assert!(off < 0.01, "{hz}: the seam is {off} samples wide");
            // what follows the last sample is the first one, of a sine: zero and rising
            let step = (std::f64::consts::TAU * hz / f64::from(SAMPLE_RATE)).sin();
            let last = f64::from(samples[samples.len() - 1]) / 0.25;
            assert!((last + step).abs() < 0.02, "{hz}: {last} {step}");
        }
    }

    #[test]
    fn silence_is_silent_and_a_file_waits_for_the_room() {
        let silent = sound(&MicrophoneSpec::Silence, Duration::ZERO).unwrap();
        assert!(!silent.is_empty() && silent.iter().all(|s| s.abs() <= 0.0));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &MicrophoneSpec::Tone(1_000.0), &CameraSpec::None, "a", Duration::ZERO).unwrap();
        let spec = MicrophoneSpec::Wav(folder.path().join("microphone.wav"));
        let samples = sound(&spec, Duration::from_secs(2)).unwrap();
        let first = samples.iter().position(|s| s.abs() > 0.01).unwrap();
        assert!((144_000..144_010).contains(&first), "{first}");
        assert!(samples[samples.len() - TRAIL..].iter().all(|s| s.abs() <= 0.0));
        let devices = Devices::within(Path::new("/f"), &spec, &CameraSpec::None);
        assert_eq!(devices, Devices { microphone: "/f/microphone.wav%noloop".to_owned(), camera: None });
        assert!(sound(&MicrophoneSpec::Wav("/no/such.wav".into()), Duration::ZERO).is_err());
    }

    #[test]
    fn a_camera_file_has_its_header_and_whole_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let write = |camera| write(folder.path(), &MicrophoneSpec::None, &camera, "a", Duration::ZERO);
        write(CameraSpec::TestPattern).unwrap();
        let bytes = std::fs::read(folder.path().join("camera.y4m")).unwrap();
        let header = b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n";
        assert_eq!(&bytes[..header.len()], header);
        assert_eq!(bytes.len(), header.len() + 88 * (6 + 320 * 240 * 3 / 2));

        let image = folder.path().join("odd.jpg");
        std::fs::write(&image, jpeg::encode(&Picture::filled(31, 21, Rgb::new(9, 9, 9))).unwrap()).unwrap();
        write(CameraSpec::Image(image)).unwrap();
        let bytes = std::fs::read(folder.path().join("camera.y4m")).unwrap();
        assert!(bytes.starts_with(b"YUV4MPEG2 W30 H20 "));
        let missing = write(CameraSpec::Image("/no/such.png".into())).unwrap_err();
        assert!(missing.to_string().starts_with("/no/such.png: "));
    }

    proptest! {
        #[test]
        fn colours_survive_the_way_there_and_back(r: u8, g: u8, b: u8) {
            let planes = i420(&Picture::filled(4, 2, Rgb::new(r, g, b)), 4, 2);
            prop_assert_eq!(planes.len(), 12);
            let [y, u, v] = [planes[0], planes[8], planes[10]].map(f64::from);
            let (y, u, v) = (1.164 * (y - 16.0), u - 128.0, v - 128.0);
            let back = [y + 1.596 * v, y - 0.392 * u - 0.813 * v, y + 2.017 * u];
            for (value, expected) in back.into_iter().zip([r, g, b]) {
                prop_assert!((value - f64::from(expected)).abs() < 6.0, "{value} {expected}");
            }
        }
    }
}
