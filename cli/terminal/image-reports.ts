import { diagnose } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import type { RunEvent } from '../../runtime/events.js'

/** Diagnostics that name one image of many. */
const ofOneImage: ReadonlySet<string> = new Set(['DINO1017', 'DINO1022'])
/** Said of a set of images that all runs of a command may share. */
const ofOneSet: ReadonlySet<string> = new Set(['DINO1015'])
const shownSingly = 3

/**
 * What is to be shown of a run's diagnostics. A broken download has thousands of unreadable images: the first few are
 * shown, the others are summed up (DINO1049) each time their number has doubled and when a run ends, so that a message
 * has little company however many there are. The first few of each kind: what an evaluation left out, training may
 * replace. Runs of one command share images: each is counted once, and what is said of a set of them is said once.
 * `names` says where all of them stand.
 */
export function imageReports(): (event: RunEvent, names: string) => Diagnostic[] {
  const said = new Set<string>()
  const images = new Set<string>()
  const shown = new Map<string, number>()
  let held = 0
  let heldNames = ''
  const sum = (): Diagnostic[] => {
    const more = held
    held = 0
    return [
      diagnose('DINO1049', null, { more, all: images.size }, { help: [`${heldNames} names each of them`] }),
    ]
  }
  const ofImage = (diagnostic: Diagnostic, names: string): Diagnostic[] => {
    const { code, message } = diagnostic
    const count = shown.get(code) ?? 0
    // Behind the path and the reason stands what became of it.
    const image = message.slice(0, message.lastIndexOf(';'))
    const isNew = !images.has(image)
    images.add(image)
    if (count < shownSingly) {
      shown.set(code, count + 1)
      return [diagnostic]
    }
    if (isNew) {
      held++
      heldNames = names
    }
    return []
  }
  return (event, names) => {
    const diagnostic = diagnosticOf(event)
    if (diagnostic !== null && (ofOneImage.has(diagnostic.code) || ofOneSet.has(diagnostic.code))) {
      if (said.has(diagnostic.message)) return []
      said.add(diagnostic.message)
    }
    if (diagnostic !== null && ofOneImage.has(diagnostic.code)) return ofImage(diagnostic, names)
    const due = held > 0 && (held >= images.size - held || event.type === 'done')
    return [...(due ? sum() : []), ...(diagnostic === null ? [] : [diagnostic])]
  }
}

/** What an event tells by a diagnostic: its own, or the failure that a run ended with. */
export function diagnosticOf(event: RunEvent): Diagnostic | null {
  if (event.type === 'diagnostic') return event.diagnostic
  return event.type === 'done' ? event.outcome.failure : null
}
