/** DINO01xx: syntax. */
export const parse = {} as const
