// Evaluated in the page before its own scripts: hands on what the page reports, and listens to what it plays.
(options) => {
  'use strict';
  if (window.top !== window) return;
  const tell = (kind, value) => window.sidetoneDriver(JSON.stringify({ kind, value }));
  window.addEventListener('sidetone:event', (event) => {
    tell('event', event.detail ?? null);
    listen();
  });

  const waiting = setInterval(() => {
    if (!window.sidetone) return;
    clearInterval(waiting);
    tell('ready', null);
    setInterval(listen, 50);
  }, 10);

  let heard = null; // the node that is listened to
  const listen = () => {
    const node = window.sidetone?.output?.() ?? null;
    if (node === null || node === heard) return;
    heard = node;
    analyse(node);
    if (options.record) record(node).catch((error) => tell('deaf', String(error)));
  };

  // Level and loudest frequency, once a second.
  const analyse = (node) => {
    const analyser = new AnalyserNode(node.context, { fftSize: 16384, smoothingTimeConstant: 0, minDecibels: -200 });
    node.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const bins = new Float32Array(analyser.frequencyBinCount);
    const rate = node.context.sampleRate;
    const timer = setInterval(() => {
      if (node !== heard || node.context.state === 'closed') return clearInterval(timer);
      if (node.context.state !== 'running') return;
      analyser.getFloatTimeDomainData(samples);
      analyser.getFloatFrequencyData(bins);
      let power = 0;
      for (const sample of samples) power += sample * sample;
      let best = 1;
      for (let i = 2; i < bins.length - 1; i++) if (bins[i] > bins[best]) best = i;
      // the peak of the parabola through three bins
      const [a, b, c] = [bins[best - 1], bins[best], bins[best + 1]];
      const off = a - 2 * b + c < 0 ? (a - c) / (2 * (a - 2 * b + c)) : 0;
      tell('heard', { power: power / samples.length, hz: ((best + off) * rate) / analyser.fftSize, seconds: samples.length / rate });
    }, 1000);
  };

  // What goes to the speaker, in pieces of a tenth of a second. `at`: when the piece's first sample was rendered, in
  // microseconds since 1970.
  const record = async (node) => {
    const { context } = node;
    const sink = new MediaStreamAudioDestinationNode(context, { channelCount: 1, channelCountMode: 'explicit' });
    node.connect(sink);
    const [track] = sink.stream.getAudioTracks();
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 400 }).readable.getReader();
    let piece = [];
    let filled = 0;
    let at = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done || node !== heard) break;
      if (filled === 0) {
        // browsers differ in what they count timestamps from; those that count from something else are late by the delivery
        const now = performance.now() * 1000;
        at = performance.timeOrigin * 1000 + (Math.abs(now - value.timestamp) < 5e6 ? value.timestamp : now);
      }
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      const rate = value.sampleRate;
      value.close();
      piece.push(samples);
      filled += samples.length;
      if (filled * 10 >= rate) {
        tell('sound', { at, rate, pcm: base64(piece, filled) });
        piece = [];
        filled = 0;
      }
    }
  };

  const base64 = (piece, filled) => {
    const pcm = new Float32Array(filled);
    let offset = 0;
    for (const samples of piece) {
      pcm.set(samples, offset);
      offset += samples.length;
    }
    const bytes = new Uint8Array(pcm.buffer);
    if (bytes.toBase64) return bytes.toBase64();
    let text = '';
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
}
