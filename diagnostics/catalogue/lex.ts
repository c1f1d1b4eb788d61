/** DINO00xx: characters. */
export const lex = {} as const
