export * from './cluster.ts';
export * from './leak.ts';
export * from './plan.ts';
export * from './pooling.ts';
export * from './remove.ts';
export * from './share.ts';
export * from './similarity.ts';
export * from './transfer.ts';
