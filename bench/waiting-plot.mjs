// The picture of docs/performance.md: mean lag over calls per job, one panel for each distribution. Both scales are logarithmic.
const [WIDTH, HEIGHT, SPACE] = [300, 260, 44];
const TICKS = [0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200];
const COLOURS = { 'best possible': '#57606a', '20 jobs': '#bc4c00', '100 jobs': '#0969da' };
const fixed = (value) => Number(value.toFixed(1));

/** A scale from values to points, with a margin, and the ticks on it. */
function scale(values, from, to) {
  const [least, most] = [Math.min(...values) * 0.85, Math.max(...values) * 1.2].map(Math.log);
  const at = (value) => fixed(from + ((Math.log(value) - least) / (most - least)) * (to - from));
  return { at, ticks: TICKS.filter((tick) => Math.log(tick) > least && Math.log(tick) < most) };
}

function panel({ title, limit, learned, fixed: marks }, index) {
  const lines = Object.entries({ 'best possible': limit, ...learned });
  const all = [...lines.flatMap(([, points]) => points), ...Object.values(marks)];
  const left = SPACE + index * (WIDTH + SPACE);
  const [top, bottom] = [34, 34 + HEIGHT];
  const x = scale(
    all.map(({ calls }) => calls),
    left,
    left + WIDTH,
  );
  const y = scale(
    all.map(({ lag }) => lag),
    bottom,
    top,
  );
  const drawn = lines.map(([name, points]) => {
    const path = points.map(({ calls, lag }) => `${x.at(calls)},${y.at(lag)}`).join(' ');
    const dots =
      name === 'best possible'
        ? ''
        : points.map((p) => `<circle cx="${x.at(p.calls)}" cy="${y.at(p.lag)}" r="3"/>`).join('');
    return `<g stroke="${COLOURS[name]}" fill="${COLOURS[name]}"><polyline fill="none" stroke-width="2" points="${path}"/>${dots}</g>`;
  });
  const others = Object.entries(marks).map(
    ([name, { calls, lag }]) =>
      `<path d="M${x.at(calls) - 4} ${y.at(lag) - 4}l8 8m0 -8l-8 8" stroke="#cf222e" stroke-width="2"/>` +
      `<text x="${x.at(calls) - 6}" y="${y.at(lag) + (name === 'nothing learned' ? 18 : -8)}" text-anchor="end">${name}</text>`,
  );
  const axes = [
    ...x.ticks.map(
      (t) =>
        `<path d="M${x.at(t)} ${top}V${bottom}"/><text x="${x.at(t)}" y="${bottom + 14}" text-anchor="middle">${t}</text>`,
    ),
    ...y.ticks.map(
      (t) =>
        `<path d="M${left} ${y.at(t)}h${WIDTH}"/><text x="${left - 5}" y="${y.at(t) + 4}" text-anchor="end">${t}</text>`,
    ),
  ];
  return (
    `<g stroke="#d0d7de">${axes.join('').replaceAll('<text', '<text stroke="none"')}</g>` +
    `<text x="${left}" y="24" font-weight="bold">${title}</text>${drawn.join('')}${others.join('')}` +
    `<text x="${left + WIDTH / 2}" y="${bottom + 30}" text-anchor="middle">status calls per job</text>`
  );
}

export function plot(panels) {
  const [width, height] = [SPACE + panels.length * (WIDTH + SPACE), HEIGHT + 96];
  const names = {
    'best possible': 'best possible',
    '20 jobs': 'learned from 20 jobs',
    '100 jobs': 'learned from 100 jobs',
  };
  const legend = Object.entries(names).map(([name, text], index) => {
    const left = SPACE + index * 190;
    return `<path d="M${left} ${height - 16}h24" stroke="${COLOURS[name]}" stroke-width="2"/><text x="${left + 30}" y="${height - 12}">${text}</text>`;
  });
  const says = 'Mean lag in seconds over status calls per job: the best possible, learned, and fixed schedules';
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${says}" font-family="sans-serif" font-size="12" fill="#1f2328">` +
    `<rect width="${width}" height="${height}" fill="#ffffff"/>${panels.map(panel).join('')}${legend.join('')}` +
    `<text x="${SPACE + 3 * 190}" y="${height - 12}">× fixed schedules; up: mean lag in seconds</text></svg>\n`
  );
}
