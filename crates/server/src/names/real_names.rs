//! Names of files as users have them, for measurement only: the models were not tuned with them.
//! Each has three characters or more that are not ASCII or stand in such a name.

/// The set and its names, one a line.
pub(super) const REAL_NAMES: [(&str, &str); 6] = [
    (
        "gbk",
        "\
图片素材.zip
施工图纸.dwg
一月份工资.xls
十二月报销单.xlsx
增值税发票.pdf
电子发票20230815.pdf
深圳市.jpg
杭州西湖.jpg
成都火锅.mp4
欧阳修.txt
王丽华简历.docx
刘德华-忘情水.mp3
邓丽君-月亮代表我的心.mp3
全家福.jpg
生日聚会视频.mp4
幼儿园毕业照.jpg
五一出游
国庆节值班表.xls
学习资料
英语四级真题.pdf
高等数学第三章.ppt
教案设计.doc
离职申请书.doc
劳动合同范本.doc
房屋租赁协议.pdf
驾驶证.jpg
护照扫描.pdf
银行流水.pdf
季度考核表.xls
值班记录.txt
设备维修单.doc
车间生产日报.xls
监控截图.png
备忘录.txt
账号密码.txt
说明文档.md
安装步骤.txt
西游记第二十回.txt
天气预报.html
医院体检报告.pdf",
    ),
    (
        "big5",
        "\
圖片素材.zip
施工圖面.dwg
一月薪資.xls
十二月報帳單.xlsx
統一發票.pdf
電子發票20230815.pdf
台中市.jpg
花蓮太魯閣.jpg
墾丁夜市.mp4
陳美玲履歷表.docx
林俊傑-江南.mp3
鄧麗君-甜蜜蜜.mp3
全家福.jpg
生日派對影片.mp4
幼稚園畢業照.jpg
環島旅行
國慶連假班表.xls
學習講義
英文單字.pdf
微積分第三章.ppt
教學計畫.doc
離職證明.doc
勞動契約書.doc
房屋租賃契約.pdf
駕照影本.jpg
護照掃描.pdf
存摺封面.pdf
季度考核表.xls
值班紀錄.txt
設備維修單.doc
生產日報表.xls
螢幕擷取畫面.png
備忘錄.txt
帳號密碼.txt
說明文件.md
安裝步驟.txt
西遊記第二十回.txt
氣象預報.html
健康檢查報告.pdf
出貨明細.xls",
    ),
    (
        "shift_jis",
        "\
一月分給与.xls
十二月経費精算.xlsx
請求明細書.pdf
電気料金20230815.pdf
大阪城.jpg
京都の紅葉.jpg
沖縄旅行ビデオ.mp4
佐藤健一.jpg
田中さん宛.doc
山本美咲_履歴書.docx
宇多田ヒカル.mp3
童謡あつめ.mp3
家族写真.jpg
誕生日会.mp4
幼稚園の卒園式.jpg
ゴールデンウィーク
年末年始シフト表.xls
学習資料
英単語リスト.pdf
数学問題集.pdf
授業計画.doc
退職届.doc
雇用契約書.doc
賃貸借契約.pdf
運転免許証.jpg
パスポート.pdf
通帳コピー.pdf
人事評価シート.xls
当番表.txt
修理依頼書.doc
生産日報.xls
スクリーンショット.png
メモ書き.txt
パスワード一覧.txt
お読みください.txt
インストール手順.txt
源氏物語.txt
天気予報.html
健康診断結果.pdf
ｶﾒﾗ画像.jpg",
    ),
    (
        "euc-kr",
        "\
1월급여.xls
12월 경비정산.xlsx
전자세금계산서.pdf
관리비 고지서.pdf
부산 해운대.jpg
경주 불국사.jpg
강릉여행.mp4
박지영.jpg
이민호 이력서.docx
아이유-밤편지.mp3
동요모음.mp3
가족사진.jpg
생일파티.mp4
유치원 졸업식.jpg
추석연휴
근무표.xls
학습자료
영어단어장.pdf
수학문제집.pdf
수업계획서.doc
사직서.doc
근로계약서.doc
임대차계약서.pdf
운전면허증.jpg
여권사본.pdf
통장사본.pdf
인사평가표.xls
당직일지.txt
수리의뢰서.doc
생산일보.xls
스크린샷.png
메모장.txt
비밀번호.txt
읽어주세요.txt
설치방법.txt
홍길동전.txt
일기예보.html
건강검진결과.pdf
거래명세표.xls
드라마 1화.avi",
    ),
    (
        "windows-1251",
        "\
Зарплата за январь.xls
Расходы декабрь.xlsx
Накладная №245.pdf
Квитанция об оплате.pdf
Санкт-Петербург.jpg
Байкал летом.jpg
Отпуск в Сочи.mp4
Смирнова Ольга.jpg
Кузнецов_резюме.docx
Алла Пугачёва - Миллион роз.mp3
Детские песни.mp3
Наша семья.jpg
День рождения.mp4
Выпускной в школе.jpg
Новый год
График дежурств.xls
Учебные материалы
Лекция 5.ppt
Контрольная по физике.doc
План урока.doc
Увольнение.doc
Трудовой договор.doc
Аренда квартиры.pdf
Права.jpg
Паспорт скан.pdf
Выписка из банка.pdf
Журнал.txt
Акт выполненных работ.doc
Скриншот.png
Заметки.txt
Пароли.txt
Прочти меня.txt
Установка.txt
Анна Каренина.txt
Погода.html
Анализы.pdf
ДОГОВОР ПОСТАВКИ.doc
СМЕТА.xls
Одеса.jpg
Заява на відпустку.doc",
    ),
    (
        "windows-1252",
        "\
ÄÖÜ.txt
NOËL
Datei–neu
ßß.txt
¡Hola!
Gehaltsabrechnung Jänner.xls
Spesen Dezember für Büro.xlsx
Zürich.jpg
Düsseldorf Rheinufer.jpg
KÜNDIGUNG.doc
RÉSUMÉ.pdf
ÜBERSICHT.xls
Weiß.txt
Jürgen Groß.jpg
Gebäude.dwg
Ausweis Rückseite.jpg
Kaufvertrag_Wörner.pdf
Die Ärzte - Schrei nach Liebe.mp3
Beyoncé.mp3
Février.xls
DÉCEMBRE.xlsx
Reçu n° 45.pdf
Hélène et François.jpg
À faire.txt
Évaluation.doc
Côte d’Azur.jpg
PIÈCE D’IDENTITÉ.pdf
contraseñas.txt
Málaga.jpg
NIÑOS.jpg
Cumpleaños de José.mp4
Nómina junio.pdf
São João.jpg
Orçamento.xls
DECLARAÇÃO.pdf
Göteborg.jpg
Lön maj.xls
Årsrapport.pdf
København.jpg
Città di Castello.jpg
Perché no.txt
Reykjavík.jpg",
    ),
];
