import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { loadAddon } from '../../runtime/devices/native/addon.js'

/** Why the native device is not here, for the names of skipped tests; null where it is. */
function missingReason(): string | null {
  try {
    loadAddon()
    return null
  } catch (error) {
    if (error instanceof DiagnosticError) return error.message
    throw error
  }
}
export const nativeMissing = missingReason()
/** Behind the name of what is skipped. */
export const nativeSkipped = nativeMissing ? ` (skipped: ${nativeMissing})` : ''
