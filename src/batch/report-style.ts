/** Style and script of the report. They are part of its page, which loads nothing but results. */

export const STYLE = `
:root{color-scheme:light dark;--line:light-dark(#d9dce3,#343842);--soft:light-dark(#f4f5f8,#1d2027);--dim:light-dark(#5c6370,#9aa1ad);--good:light-dark(#1a7f4b,#4cc38a);--bad:light-dark(#c62a2f,#ff7b80);--warn:light-dark(#8a5a00,#e7b04d);--link:light-dark(#0b62c4,#7ab8ff)}
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;background:light-dark(#fff,#14161b);color:light-dark(#16181d,#e8eaed)}
main{max-width:1240px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:36px 0 10px}
a{color:var(--link)}p{margin:6px 0}.dim,small{color:var(--dim)}
.banner{border:1px solid var(--warn);color:var(--warn);border-radius:8px;padding:8px 12px;margin:14px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin:16px 0}
.tile{background:var(--soft);border-radius:10px;padding:12px 14px}.tile b{display:block;font-size:24px;line-height:1.2}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--dim);white-space:nowrap}td.n,th.n{text-align:right;padding:6px 24px 6px 0;font-variant-numeric:tabular-nums}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
svg{width:100%;height:auto;max-height:220px}rect{fill:var(--link)}line{stroke:var(--line)}svg text{fill:var(--dim);font-size:11px}
.find{display:flex;gap:10px;flex-wrap:wrap;align-items:center;position:sticky;top:0;background:inherit;padding:8px 0;z-index:1;background:light-dark(#fff,#14161b)}
.find input,.find select{font:inherit;padding:6px 10px;border:1px solid var(--line);border-radius:8px;background:inherit;color:inherit}.find input{flex:1;min-width:180px}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:14px;align-items:start}
article{border:1px solid var(--line);border-radius:12px;overflow:hidden;content-visibility:auto;contain-intrinsic-size:auto 330px}
article[hidden]{display:none}
.media{display:block;background:var(--soft);aspect-ratio:4/3}.media>*{display:block;width:100%;height:100%;object-fit:contain}
.media audio{height:54px}.media.sound{aspect-ratio:auto;padding:14px 8px}.media.none{display:grid;place-items:center;text-align:center;padding:12px;color:var(--bad)}.media.none>*{height:auto}
.text{padding:10px 12px}.text p{display:-webkit-box;-webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden;margin:0 0 4px;overflow-wrap:anywhere}
details{margin-top:6px}summary{cursor:pointer;color:var(--dim);font-size:13px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 10px;margin:6px 0 0;font-size:13px}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
`;

/** Filters the gallery by text and by how an item ended. */
export const SCRIPT = `
const cards=[...document.querySelectorAll('article')],text=document.getElementById('text'),ended=document.getElementById('ended'),shown=document.getElementById('shown');
let due;
function filter(){const words=text.value.toLowerCase().split(/\\s+/).filter(Boolean);let n=0;
for(const card of cards){const has=card.textContent.toLowerCase(),fits=(!ended.value||card.dataset.ended===ended.value)&&words.every(w=>has.includes(w));card.hidden=!fits;if(fits)n++}
shown.textContent=n.toLocaleString('en-US')+' of '+cards.length.toLocaleString('en-US')}
text.addEventListener('input',()=>{clearTimeout(due);due=setTimeout(filter,150)});ended.addEventListener('change',filter);
`;
