// The page's CSS, inlined so that nothing is loaded.

/** The colours by role, light and dark. */
export const palette = `:root {
  color-scheme: light dark;
  --page: #f6f7f9; --panel: #ffffff; --text: #1a1f26; --soft: #566070; --line: #e0e4ea; --link: #1d4ed8;
  --transfer: #d9480f; --kept: #2563eb; --shared: #0d9488; --removed: #7b8794;
  --full: #475569; --good: #147a3a; --bad: #b91c1c; --open: #92610a;
  --good-back: #e7f6ec; --bad-back: #fdecec; --open-back: #fdf4e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101318; --panel: #191d24; --text: #e6e9ee; --soft: #a0aab8; --line: #2d343f; --link: #8ab4ff;
    --transfer: #f2722f; --kept: #4f8cf7; --shared: #14b8a6; --removed: #6b7787;
    --full: #a9b4c4; --good: #5fd68b; --bad: #ff8f8f; --open: #f0bf5a;
    --good-back: #12291b; --bad-back: #331717; --open-back: #2e2410;
  }
}`;

/** The page's style: light and dark by preference, one column on a phone, wide tables scroll within themselves, printable. */
export const style = `
${palette}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: .4rem 0 .75rem; text-wrap: balance; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
.kicker, .soft, figcaption, caption { color: var(--soft); }
.kicker { font-size: .9rem; margin: 0; }
main > section { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 1.35rem 1.5rem; margin: 1.25rem 0; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; padding: 0; margin: 1rem 0 0; font-size: .92rem; }
.title { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .75rem; }
.chip { display: inline-block; border-radius: 999px; padding: .1rem .65rem; font-size: .82rem; font-weight: 600; white-space: nowrap; border: 1px solid currentcolor; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.open { color: var(--open); background: var(--open-back); }
.problems { border-left: 4px solid var(--bad); background: var(--bad-back); border-radius: 8px; padding: .75rem 1rem; margin: 1rem 0; }
.problems ul { margin: .25rem 0; padding-left: 1.2rem; }
.checks { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .6rem; }
.checks li { display: grid; grid-template-columns: 1.9rem 1fr; gap: .1rem .6rem; }
.sign { grid-row: span 2; width: 1.7rem; height: 1.7rem; border-radius: 50%; display: grid; place-items: center; font-weight: 700; font-size: .95rem; margin-top: .1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .9rem; margin: 1.25rem 0; padding: 0; list-style: none; }
.cards > li { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1.1rem; }
.cards p { margin: .3rem 0 0; font-size: .93rem; }
.cards .what { font-weight: 600; font-size: 1rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem 2rem; align-items: start; }
.tables { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 1.1rem 0; }
figcaption { font-size: .92rem; max-width: 46rem; margin-top: .4rem; }
.figure-title { margin: 0 0 .35rem; font-size: .98rem; font-weight: 600; }
.plot { display: block; max-width: 100%; height: auto; overflow: visible; font-family: inherit; }
.narrow { display: none; }
.problems.waiting { border-color: var(--open); background: var(--open-back); }
@media (min-width: 62rem) { .beside { display: grid; grid-template-columns: max-content 1fr; column-gap: 2rem; align-items: start; } .beside .figure-title { grid-column: 1 / -1; } .beside .legend { flex-direction: column; margin-top: 3.2rem; grid-row: 2; grid-column: 2; } .beside figcaption { grid-row: 3; grid-column: 2; align-self: start; } .beside > .wide { grid-row: 2 / span 2; grid-column: 1; } .beside { grid-template-rows: auto auto 1fr; } }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: .5rem 0 0; font-size: .9rem; }
.legend svg { vertical-align: -.1em; margin-right: .4em; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { min-width: min(100%, 26rem); border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-size: .92rem; max-width: calc(100vw - 3.6rem); }
th, td { text-align: left; padding: .38rem .9rem .38rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
tbody th { font-weight: 500; min-width: 8rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.message { min-width: 16rem; }
code { font: .88em/1.5 ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
details { margin: .9rem 0; }
summary { cursor: pointer; font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); gap: .6rem 1.25rem; margin: 1rem 0; }
.facts div { border-top: 2px solid var(--line); padding-top: .3rem; }
.facts dt { color: var(--soft); font-size: .88rem; }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.positions { list-style: none; padding: 0; margin: .75rem 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(2.55rem, 1fr)); gap: 5px; max-width: 56rem; font-variant-numeric: tabular-nums; }
.positions li { border: 2px solid var(--line); border-bottom-width: 5px; border-radius: 6px; text-align: center; line-height: 1.15; padding: .2rem 0 .15rem; font-weight: 600; font-size: .95rem; }
.positions small { display: block; color: var(--soft); font-weight: 400; font-size: .75rem; }
.positions .transfer { border-color: var(--transfer); }
.positions .kept { border-color: var(--kept); }
.positions .shared { border-color: var(--shared); border-style: dashed dashed solid; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { color: var(--soft); font-size: .9rem; padding-bottom: 3rem; }
@media (max-width: 44rem) {
  main, header, footer { padding-left: .8rem; padding-right: .8rem; }
  main > section { padding: 1rem .9rem; border-radius: 10px; }
  h1 { font-size: 1.35rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .checks li { grid-template-columns: 1.9rem minmax(0, 1fr); }
  .wide { display: none; }
  .narrow { display: block; }
}
@media print {
  :root { --page: #fff; }
  body { font-size: 10.5pt; }
  main > section, .cards > li { border-color: #bbb; }
  figure, tr, .cards > li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  nav { display: none; }
  .scroll { overflow: visible; }
  .tables { display: block; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
