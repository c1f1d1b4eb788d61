/** DINO02xx: names. */
export const names = {} as const
