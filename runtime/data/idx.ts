import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { refuseBy } from './folder.js'
import { type FoundImages, type SourceContext, sourceError } from './source.js'

/**
 * IDX files (the format of MNIST): `<part>-images-idx3-ubyte` with `<part>-labels-idx1-ubyte` beside it, `.gz` or not;
 * the part `t10k` is the split `test`. Bytes 0 0 type rank, then each dimension as 4 bytes big endian, then the data.
 */
export function readIdx(context: SourceContext): FoundImages {
  refuseBy(context)
  const root = context.spec.path!
  const { name: source } = context
  const files = new Set(readdirSync(root))
  const parts = [...files]
    .filter((file) => !(file.endsWith('.gz') && files.has(file.slice(0, -3))))
    .sort()
    .map((file) => /^(.+?)[-.]images[-.]idx3-ubyte(\.gz)?$/.exec(file))
    .filter((match) => match !== null)
  const names: string[] = []
  const labels: (string | null)[] = []
  const published: string[] = []
  const pixels: Uint8Array[] = []
  let size: [number, number] | null = null
  for (const match of parts) {
    const images = readFile(context, `${root}/${match[0]}`, 3)
    const [count, height, width] = images.shape as [number, number, number]
    size ??= [height, width]
    if (size[0] !== height || size[1] !== width)
      throw sourceError(context, 'path', 'DINO1010', {
        source,
        path: `${root}/${match[0]}`,
        reason: `images of ${width} x ${height} pixels, others have ${size[1]} x ${size[0]}`,
      })
    const labelFile = [match[0].replace('images', 'labels').replace('idx3', 'idx1')]
      .flatMap((file) => [file, file.replace(/\.gz$/, ''), `${file}.gz`])
      .find((file) => existsSync(`${root}/${file}`))
    const values = labelFile === undefined ? null : readFile(context, `${root}/${labelFile}`, 1)
    if (values && values.shape[0] !== count)
      throw sourceError(context, 'path', 'DINO1010', {
        source,
        path: `${root}/${labelFile}`,
        reason: `${values.shape[0]} labels for ${count} images`,
      })
    const split = match[1] === 't10k' ? 'test' : match[1]!
    for (let i = 0; i < count; i++) {
      names.push(`${split}/${i}`)
      labels.push(values ? String(values.data[i]) : null)
      published.push(split)
    }
    pixels.push(images.data)
  }
  const [height, width] = size ?? [0, 0]
  const shared = new SharedArrayBuffer(names.length * height * width)
  const all = new Uint8Array(shared)
  let position = 0
  for (const part of pixels) {
    all.set(part, position)
    position += part.length
  }
  return {
    names,
    root: null,
    labels,
    groups: null,
    missing: [],
    published,
    packed: { pixels: shared, width, height, channels: 1 },
  }
}

function readFile(context: SourceContext, path: string, rank: number): { shape: number[]; data: Uint8Array } {
  const fail = (reason: string) =>
    sourceError(context, 'path', 'DINO1010', { source: context.name, path, reason })
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
    if (path.endsWith('.gz')) bytes = gunzipSync(bytes, { maxOutputLength: 4 * 2 ** 30 })
  } catch (error) {
    throw fail((error as Error).message)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerBytes = 4 + 4 * rank
  if (bytes.length < headerBytes || view.getUint32(0) !== 0x800 + rank)
    throw fail(`expected an IDX header of ${rank} dimensions of bytes`)
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  const count = shape.reduce((product, n) => product * n, 1)
  if (shape.slice(1).includes(0)) throw fail('its header says that images have no pixels')
  if (count !== bytes.length - headerBytes)
    throw fail(`its header says ${count} bytes of data, it has ${bytes.length - headerBytes}`)
  return { shape, data: bytes.subarray(headerBytes) }
}
