// As little of the real page as its driver needs: window.sidetone, the ids, the events.
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const report = (event, fields) => dispatchEvent(new CustomEvent('sidetone:event', { detail: { event, fields } }));
let output = null;
let worker = null;
let state = 'lobby';
const seen = { name: '', room: '', heard: null };

window.sidetone = {
  version: 1,
  state: () => ({ state, ...seen }),
  stats: async () => ({ timestamp: 'now', stats: [], sidetone: { ...seen, query: location.search, state } }),
  output: () => output,
  pictures: () => ({ 'Bo/../x': btoa('\xff\xd8\xff') }),
};

const tone = async () => {
  const context = new AudioContext({ sampleRate: 48000 });
  const gain = new GainNode(context, { gain: 0.25 });
  const oscillator = new OscillatorNode(context, { frequency: 523 });
  oscillator.connect(gain).connect(context.destination);
  oscillator.start();
  output = gain;
  const tell = () =>
    report('browser.audio_context', {
      state: context.state, sample_rate: context.sampleRate,
      base_latency_ms: context.baseLatency * 1000, output_latency_ms: context.outputLatency * 1000,
    });
  context.onstatechange = tell;
  tell();
};

const microphone = async () => {
  if (query.get('mic') === 'off') return;
  const fields = { device: 'microphone', granted: true, error: null, label: '', sample_rate: null, channels: null };
  // a tone is no voice: it would be suppressed as noise, and as an echo
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    const media = await navigator.mediaDevices.getUserMedia({ audio: plain, video: query.get('camera') !== 'off' });
    const [track] = media.getAudioTracks();
    const { sampleRate, channelCount } = track.getSettings();
    report('browser.capture', { ...fields, label: track.label, sample_rate: sampleRate, channels: channelCount });
    const context = new AudioContext({ sampleRate: 48000 });
    const analyser = new AnalyserNode(context, { fftSize: 4096 });
    const source = context.createMediaStreamSource(media);
    source.connect(analyser);
    if (seen.name === 'Echo') {
      output.disconnect();
      output = new GainNode(context);
      source.connect(output).connect(context.destination);
    }
    setInterval(() => {
      const bins = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(bins);
      seen.heard = (bins.indexOf(Math.max(...bins)) * context.sampleRate) / analyser.fftSize;
    }, 200);
    for (const video of media.getVideoTracks()) seen.video = video.getSettings();
  } catch (error) {
    const situation = error.name === 'NotAllowedError' ? 'permission-denied' : 'no-microphone';
    report('browser.capture', { ...fields, granted: false, error: error.name });
    report('browser.situation', { situation, sentence: String(error) });
  }
};

const join = () => {
  Object.assign(seen, { name: $('name').value, room: $('room').value });
  state = 'connecting';
  $('lobby').hidden = true;
  $('call').hidden = false;
  tone();
  microphone();
  worker = new Worker('worker.js');
  worker.onmessage = ({ data }) => {
    const target = `ws://${location.host}/ws`;
    if (data.kind === 'open') {
      state = 'joined';
      report('client.joined', {
        server: 'stand-in', room: seen.room, name: seen.name, stream: 1, participants: [],
        codec: 'opus', clock_rate: 48000, channels: 1, frame_ms: 20, bitrate: 64000,
      });
    } else if (data.kind === 'text' && data.text === 'refuse') {
      report('client.refused', { code: 'name_invalid', reason: 'that is no name; choose another' });
    } else if (data.kind === 'text') {
      (0, eval)(data.text); // what a test wants the page to do
    } else if (state === 'joined') {
      report('client.disconnected', { close_code: data.code, reason: 'gone' });
    } else {
      report('client.connect_failed', { target, address: location.host, stage: 'connect', errno: null, reason: 'no WebSocket' });
    }
  };
  worker.postMessage(`ws://${location.host}/ws`);
  console.warn('joining', seen.name, 7, { a: 1 });
};

$('lobby').onsubmit = (event) => {
  event.preventDefault();
  join();
};
$('leave').onclick = () => {
  state = 'ended';
  worker.postMessage(null);
};
if (query.has('join')) {
  $('name').value = query.get('name');
  $('room').value = query.get('room');
  join();
}
