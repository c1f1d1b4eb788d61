import { entry } from './entry.js'

/** DINO9999: a bug in dinoc itself. */
export const internal = {
  DINO9999: entry<{ what: string }>('error', 'internal error', ({ what }) => `internal error: ${what}`),
} as const
