// Why a template is not written, in words that hold nothing of a conversation.

/** A template that cannot be used. The words hold nothing of a conversation; which of them it leads to says something of it. */
export class Fault extends Error {}

/** A conversation that the template itself does not take. */
export class Refusal extends Error {}

/** Where Python raises an error. */
export function fail(): never {
  throw new Fault('an expression in it fails');
}

/** What Jinja has and this interpreter has not. */
export function unsupported(what: string): never {
  throw new Fault(`it uses ${what}, which is not supported`);
}
