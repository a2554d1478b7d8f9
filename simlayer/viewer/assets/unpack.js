// The arrays of the page: bytes in base64, deflated; positions and fields as differences from frame to frame.

async function inflated(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// `frames` rows of 16-bit numbers: all of their low bytes, then all of their high bytes.
function summed16(buffer, at, frames, row) {
  const count = frames * row, bytes = new Uint8Array(buffer, at, 2 * count), values = new Uint16Array(count);
  for (let i = 0; i < count; i++) values[i] = bytes[i] | (bytes[count + i] << 8);
  for (let i = row; i < count; i++) values[i] += values[i - row];
  return values;
}

function summed8(buffer, at, frames, row) {
  const values = new Uint8Array(buffer.slice(at, at + frames * row));
  for (let i = row; i < values.length; i++) values[i] += values[i - row];
  return values;
}

function unpackedMotion(motion, buffer) {
  const frames = motion.times.length, count = motion.vertices;
  const floats = (at, size) => new Float32Array(buffer.slice(at, at + 4 * size));
  return {
    ...motion,
    codes: summed16(buffer, motion.positions, frames, 3 * count),
    triangles: new Uint32Array(buffer.slice(motion.faces, motion.faces + 12 * motion.triangles)),
    colors: Object.fromEntries(
      Object.entries(motion.fields).map(([name, at]) => [name, summed8(buffer, at, frames, count)]),
    ),
    points: motion.points.map((kind) => ({ ...kind, all: floats(kind.positions, 3 * kind.times.length * kind.count) })),
  };
}

// The frame at or before a time, and how far the time is on the way to the next one.
function located(times, time) {
  let low = 0, high = times.length - 1;
  if (time >= times[high]) return [high, high, 0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle; else high = middle;
  }
  return [low, high, Math.max(0, (time - times[low]) / (times[high] - times[low]))];
}

function nearest(times, time) {
  const [low, high, share] = located(times, time);
  return share < 0.5 ? low : high;
}
