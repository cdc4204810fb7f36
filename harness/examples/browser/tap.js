// Evaluated in the page by the bench. Says on the console, as `bench KIND JSON`, what only the page can know: when its navigation began,
// when clicks pass its microphone and its speaker, and what it draws. Times are microseconds since 1970.
(() => {
  'use strict';
  if (window.top !== window) return;
  const say = (kind, value) => console.info(`bench ${kind} ${JSON.stringify(value)}`);
  const clock = () => (performance.timeOrigin + performance.now()) * 1000;
  say('navigation', performance.timeOrigin * 1000);

  const LOUD = 0.15;
  /** A click begins after so many quiet seconds. */
  const REST = 0.1;
  /** A piece is delivered late or in time, never early; the fastest within so many microseconds of a click is taken for "in time". */
  const NEAR = 1e6;

  // Single deliveries to a page are uneven; the samples of a track are not.
  const watch = async (where, track, ahead) => {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 400 }).readable.getReader();
    const [pieces, clicks] = [[], []];
    let [taken, quiet, rate, told] = [0, Infinity, 48000, clock()];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const now = clock();
      rate = value.sampleRate;
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      value.close();
      samples.forEach((sample, i) => {
        if (Math.abs(sample) < LOUD) return void (quiet += 1);
        if (quiet > REST * rate) clicks.push({ sample: taken + i, at: now });
        quiet = 0;
      });
      taken += samples.length;
      pieces.push({ offset: now - (taken * 1e6) / rate, at: now });
      if (now - told < 1e6) continue;
      told = now;
      const times = clicks.map(({ sample, at }) => {
        const near = pieces.filter((piece) => Math.abs(piece.at - at) < NEAR);
        return Math.round(Math.min(...near.map((piece) => piece.offset)) + (sample * 1e6) / rate + ahead());
      });
      say(where, times);
    }
  };

  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    // the last sample of a piece is heard by the microphone when the piece is delivered
    if (wanted.audio && options.clicks) watch('mouth', stream.getAudioTracks()[0].clone(), () => 0);
    return stream;
  };

  let output = null;
  const listening = setInterval(() => {
    output = window.sidetone?.output() ?? null;
    if (!output || !options.clicks) return;
    clearInterval(listening);
    const { context } = output;
    const sink = new MediaStreamAudioDestinationNode(context, { channelCount: 1, channelCountMode: 'explicit' });
    output.connect(sink);
    // the first sample of what a device asks for at once leaves the speaker when it is delivered
    watch('ear', sink.stream.getAudioTracks()[0], () => context.baseLatency * 1e6);
  }, 20);

  let cells = '';
  const take = OffscreenCanvasRenderingContext2D.prototype.getImageData;
  OffscreenCanvasRenderingContext2D.prototype.getImageData = function (x, y, columns, rows, ...rest) {
    cells = `${columns}x${rows}`; // a glyph is picked for each of these pixels, and drawn next
    return take.call(this, x, y, columns, rows, ...rest);
  };
  const drawn = new Map();
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (image, ...rest) {
    const tile = this.canvas.closest('.tile');
    if (tile) {
      const name = tile.dataset.name;
      drawn.set(name, { count: (drawn.get(name)?.count ?? 0) + 1, cells, pixels: `${image.width}x${image.height}` });
    }
    return put.call(this, image, ...rest);
  };
  if (options.pictures) {
    setInterval(async () => {
      const stats = (await window.sidetone?.stats())?.stats ?? [];
      const decoded = stats.filter((one) => one.type === 'inbound-rtp' && one.kind === 'video').map((one) => [one.trackIdentifier, one.framesDecoded]);
      say('pictures', { at: clock(), decoded: Object.fromEntries(decoded), drawn: Object.fromEntries(drawn) });
    }, 2000);
  }
})();
