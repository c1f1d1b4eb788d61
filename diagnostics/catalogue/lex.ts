import { entry } from './entry.js'

/** DINO00xx: characters. */
export const lex = {
  DINO0001: entry<{ shown: string; what: string }>('error', 'stray character', ({ shown, what }) =>
    what ? `${shown} is not part of the language: ${what}` : `${shown} is not part of the language`,
  ),
  DINO0002: entry('error', 'text not closed', () => 'this text is not closed on its line'),
  DINO0003: entry('error', 'comment not closed', () => 'this comment is not closed'),
  DINO0004: entry<{ written: string; why: string }>(
    'error',
    'malformed number',
    ({ written, why }) => `\`${written}\` is not a number: ${why}`,
  ),
  DINO0005: entry<{ written: string }>(
    'error',
    'unknown escape in a text',
    ({ written }) => `\`${written}\` means nothing inside a text`,
  ),
  DINO0006: entry<{ found: string }>(
    'error',
    'malformed insertion in a text',
    ({ found }) => `expected the name of a param and \`}\` after \`\${\`, found ${found}`,
  ),
  DINO0007: entry<{ written: string }>(
    'error',
    'number too large',
    ({ written }) => `\`${written}\` is larger than any number that can be computed with`,
  ),
} as const
