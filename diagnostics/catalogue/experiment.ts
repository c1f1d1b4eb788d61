/** DINO05xx: experiment rules. */
export const experiment = {} as const
