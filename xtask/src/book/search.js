"use strict";

// mdBook's search splits text at spaces. Chinese has none between words, so a query in Chinese
// finds the sections that contain each of its parts anywhere.
(function () {
    const CHINESE = /[\u3400-\u9fff\uf900-\ufaff]/;
    // Letters of a result that are shown before and behind what was found.
    const SHOWN = 50;

    if (typeof elasticlunr === "undefined") {
        return;
    }

    function count(text, part) {
        return text.toLowerCase().split(part).length - 1;
    }

    // What is around the first place of `part`. The spaces let mdBook emphasise it.
    function excerpt(body, part) {
        const at = Math.max(0, body.toLowerCase().indexOf(part));
        const end = at + part.length;
        const parts = [body.slice(Math.max(0, at - SHOWN), at), body.slice(at, end)];
        parts.push(body.slice(end, end + SHOWN));
        return parts.join(" ").trim();
    }

    function searchParts(docs, query) {
        const parts = query.toLowerCase().split(/\s+/).filter(Boolean);
        const results = [];
        for (const ref of Object.keys(docs)) {
            const doc = docs[ref];
            const scores = parts.map(
                part => 10 * count(doc.title, part) + count(doc.body, part)
                    + count(doc.breadcrumbs, part));
            if (scores.every(score => score > 0)) {
                const score = scores.reduce((sum, one) => sum + one, 0);
                const body = excerpt(doc.body, parts[0]);
                results.push({ ref, score, doc: Object.assign({}, doc, { body }) });
            }
        }
        return results.sort((a, b) => b.score - a.score);
    }

    const load = elasticlunr.Index.load;
    elasticlunr.Index.load = function (data) {
        const index = load.call(this, data);
        const search = index.search;
        index.search = function (query, options) {
            return CHINESE.test(query)
                ? searchParts(index.documentStore.docs, query)
                : search.call(index, query, options);
        };
        return index;
    };
})();
