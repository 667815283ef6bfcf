// Privacy of rows: the accountant, what a private training does, and the secret chance that it does it with.
export { chanceOf, rowsDigest, tokensDigest } from './chance.ts';
export { noiseKey, refuseOtherNoise } from './noise-key.ts';
export { figuresOf, type PrivacyPlan, planPrivacy } from './plan.ts';
export { poissonSample, SecretRandom } from './secret-random.ts';
