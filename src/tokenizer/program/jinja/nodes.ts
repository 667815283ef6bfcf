// A template as a tree: statements that write, and expressions.

export type Expression =
  | { readonly type: 'constant'; readonly value: null | boolean | bigint | string }
  | { readonly type: 'name'; readonly name: string }
  /** What real templates hold in parts that no conversation without tools reaches: refused where it is reached. */
  | Unsupported
  | { readonly type: 'list' | 'concat'; readonly items: readonly Expression[] }
  | { readonly type: 'mapping'; readonly entries: readonly (readonly [name: string, value: Expression])[] }
  | { readonly type: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly type: 'item'; readonly of: Expression; readonly at: Expression }
  | {
      readonly type: 'slice';
      readonly of: Expression;
      readonly bounds: readonly (Expression | undefined)[];
    }
  /** What a loop's body knows of its loop. */
  | { readonly type: 'loop'; readonly name: LoopName }
  | {
      readonly type: 'call';
      readonly name: string;
      readonly list: readonly Expression[];
      readonly named: readonly (readonly [name: string, value: Expression])[];
    }
  | {
      readonly type: 'method' | 'filter';
      readonly of: Expression;
      readonly name: string;
      /** In the order in which it takes them; undefined where one is skipped. */
      readonly given: readonly (Expression | undefined)[];
    }
  | Passing
  | { readonly type: 'test'; readonly of: Expression; readonly name: string }
  | { readonly type: 'not' | 'minus' | 'safe'; readonly of: Expression }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly type: 'arithmetic' | 'comparison';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly type: 'choice';
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    };

/** What is gone through at once, where it stands: by a loop, another of these, or a filter that takes all items. */
export type Passing =
  | { readonly type: 'range'; readonly bounds: readonly Expression[] }
  /** Of a mapping, for a loop with two names; `items()` is strict: it fails where there is no mapping. */
  | { readonly type: 'pairs'; readonly of: Expression; readonly name: 'items' | 'items()' | 'dictsort' }
  | { readonly type: 'map'; readonly of: Expression; readonly attribute?: string; readonly filter?: string }
  | {
      readonly type: 'select';
      readonly of: Expression;
      readonly attribute: string | undefined;
      /** undefined asks for truth. */
      readonly test: string | undefined;
      readonly other: Expression | undefined;
      readonly wanted: boolean;
    };

interface Unsupported {
  readonly type: 'unsupported';
  readonly what: string;
}

export const loopNames = [
  'index',
  'index0',
  'revindex',
  'revindex0',
  'first',
  'last',
  'length',
  'previtem',
  'nextitem',
] as const;
export type LoopName = (typeof loopNames)[number];

export type Target =
  | { readonly type: 'target'; readonly name: string }
  | { readonly type: 'field'; readonly namespace: string; readonly name: string };

/** Statements with names of their own. */
export interface Body {
  readonly statements: readonly Statement[];
  /** The names that it reads or sets. */
  readonly names: ReadonlySet<string>;
  /** Those that it sets before it reads them: without a value until then, where no body around it has them. */
  readonly hidden: readonly string[];
}

export interface Parameter {
  readonly name: string;
  readonly otherwise: null | boolean | bigint | string | undefined;
}

export type Statement =
  | { readonly type: 'data'; readonly text: string }
  | { readonly type: 'write'; readonly value: Expression }
  | {
      readonly type: 'for';
      /** One, or two for pairs. */
      readonly targets: readonly string[];
      readonly of: Expression;
      readonly test: Expression | undefined;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | {
      readonly type: 'if';
      readonly branches: readonly { readonly test: Expression; readonly statements: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly type: 'capture'; readonly target: Target; readonly body: Body }
  | {
      readonly type: 'macro';
      readonly name: string;
      readonly parameters: readonly Parameter[];
      readonly body: Body;
    }
  | { readonly type: 'generation'; readonly body: Body }
  | { readonly type: 'break' | 'continue' }
  | Unsupported;

/** Everything in a tree that has a type, in the order of the text; without recursion, since a template may nest as deep as it likes. */
export function* nodesIn(tree: unknown): Generator<Expression | Statement | Target> {
  const open: unknown[] = [tree];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null || value instanceof Set) continue;
    if (typeof (value as { type?: unknown }).type === 'string') yield value as Expression;
    const fields = Object.values(value);
    for (let i = fields.length - 1; i >= 0; i--) open.push(fields[i]);
  }
}
