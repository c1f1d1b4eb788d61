/** DINO03xx: blocks and fields. */
export const blocks = {} as const
