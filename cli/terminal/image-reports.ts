import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import type { RunEvent } from '../../runtime/events.js'

/** Diagnostics that name one image of many. */
const ofOneImage: ReadonlySet<string> = new Set(['DINO1017', 'DINO1022'])
const shownSingly = 3

/**
 * What is to be shown of a run's diagnostics. A broken download has thousands of unreadable images: the first few are
 * shown, the others are summed up (DINO1049) each time their number has doubled and when a run ends, so that a message
 * has little company however many there are. Runs of one command share images: each is counted once. `names` says
 * where all of them stand.
 */
export function imageReports(): (event: RunEvent, names: string) => Diagnostic[] {
  const seen = new Set<string>()
  let held = 0
  let heldNames = ''
  const sum = (): Diagnostic[] => {
    const more = held
    held = 0
    return [
      diagnose('DINO1049', null, { more, all: seen.size }, { help: [`${heldNames} names each of them`] }),
    ]
  }
  return (event, names) => {
    const diagnostic = diagnosticOf(event)
    if (diagnostic !== null && ofOneImage.has(diagnostic.code)) {
      if (seen.has(diagnostic.message)) return []
      seen.add(diagnostic.message)
      if (seen.size <= shownSingly) return [diagnostic]
      held++
      heldNames = names
      return []
    }
    const due = held > 0 && (held >= seen.size - held || event.type === 'done')
    return [...(due ? sum() : []), ...(diagnostic === null ? [] : [diagnostic])]
  }
}

/** What an event tells by a diagnostic: its own, or the failure that a run ended with. */
export function diagnosticOf(event: RunEvent): Diagnostic | null {
  if (event.type === 'diagnostic') return event.diagnostic
  return event.type === 'done' ? event.outcome.failure : null
}
