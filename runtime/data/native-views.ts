import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { type Addon, chooseInstructionSet, loadAddon } from '../devices/native/addon.js'
import type { ViewRenderer } from './augment.js'

/**
 * Views by the native library, to the same bits as in TypeScript; null where it was not built. `normalized`: the value
 * of each byte, by channel. `instructionSet`: its number in the addon's list (default: the device's choice).
 */
export function openNativeViews(
  normalized: readonly Float32Array[],
  instructionSet?: number,
): ViewRenderer | null {
  const library = open(instructionSet)
  if (library === null) return null
  const { addon, set } = library
  const channels = normalized.length
  const tables = new Float32Array(channels * 256)
  for (const [c, values] of normalized.entries()) tables.set(values, c * 256)
  const numbers = new Float64Array(32)
  return (source, size, { box, mirrored, steps, weights }, out, offset) => {
    numbers.set([source.width, source.height, channels, box.left, box.top, box.width, box.height])
    numbers.set([size, mirrored ? 1 : 0, steps.length / 2, ...steps], 7)
    const plane = out.subarray(offset, offset + channels * size * size)
    addon.augmentView(set, source.data, numbers, weights, tables, plane)
  }
}

function open(instructionSet: number | undefined): { addon: Addon; set: number } | null {
  try {
    const addon = loadAddon()
    return { addon, set: instructionSet ?? chooseInstructionSet(addon).index }
  } catch (error) {
    // The native device says so where it was asked for; images come out the same without it.
    if (error instanceof DiagnosticError) return null
    throw error
  }
}
